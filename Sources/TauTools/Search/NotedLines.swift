internal import TauCore

/// Lines of an answer, cut to what an answer may have, with notes behind them on what is missing.
struct NotedLines {
    private let lines: [[UInt8]]
    private var notes: [String] = []
    /// Comes behind that of the answer's own bound.
    var lastNote: String?
    var details = JSONObject()

    init(_ lines: [[UInt8]]) { self.lines = lines }

    mutating func note(_ text: String, _ detail: String, _ value: JSONValue) {
        notes.append(text)
        details[detail] = value
    }

    mutating func noteLimit(_ limit: Int, of what: String, detail: String) {
        note("\(limit) \(what) limit reached. Use limit=\(limit * 2) for more", detail, .integer(limit))
    }

    func output(_ limits: ToolLimits, isComplete: Bool = true) -> ToolOutput {
        let shown = Truncation.head(
            Array(lines.joined(separator: [UInt8(ascii: "\n")])), maxLines: .max, maxBytes: limits.maxBytes)
        var result = self
        if shown.isTruncated {
            result.note("\(ByteCount.text(limits.maxBytes)) limit reached", "truncation", shown.json)
        }
        if let lastNote { result.notes.append(lastNote) }
        if !isComplete {
            result.notes.append("The search was ended by its own bounds; there may be more. Search in a part")
        }
        let text =
            result.notes.isEmpty ? shown.content : "\(shown.content)\n\n[\(result.notes.joined(separator: ". "))]"
        return ToolOutput(text: text, details: result.details.members.isEmpty ? nil : .object(result.details))
    }
}
