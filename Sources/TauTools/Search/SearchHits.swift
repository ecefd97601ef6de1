internal import TauCore

/// One line that a search shows.
struct SearchHit: Sendable, Hashable {
    var line: Int
    var text: [UInt8]
    /// A neighbour of a match.
    var isContext: Bool
}

/// What a search found, file by file.
struct SearchHits: Sendable {
    /// By the path that is shown.
    private(set) var files: [[UInt8]: [SearchHit]] = [:]
    private(set) var matches = 0
    let limit: Int

    var isFull: Bool { matches >= limit }

    init(limit: Int) { self.limit = limit }

    /// Adds a file's lines, in their order, as far as matches are still wanted.
    mutating func add(_ path: [UInt8], _ hits: [SearchHit]) {
        var taken: [SearchHit] = []
        for hit in hits {
            guard !isFull else { break }
            if !hit.isContext { matches += 1 }
            taken.append(hit)
        }
        if !taken.isEmpty { files[path, default: []] += taken }
    }

    /// As the model reads it: `path:line: text`, neighbours as `path-line- text`, sorted by path.
    func answer(limits: ToolLimits, isComplete: Bool) -> ToolOutput {
        guard matches > 0 else { return ToolOutput(text: "No matches found") }
        var lines: [[UInt8]] = []
        var isAnyLineCut = false
        for path in files.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            for hit in files[path] ?? [] {
                let mark = hit.isContext ? "-" : ":"
                var text = CleanText.clean(hit.text)
                if let end = Self.cut(text, at: limits.maxSearchLineCharacters) {
                    text = Array(text[..<end]) + "... [truncated]".utf8
                    isAnyLineCut = true
                }
                lines.append(CleanText.clean(path) + "\(mark)\(hit.line)\(mark) ".utf8 + text)
            }
        }
        var answer = NotedLines(lines)
        if isFull {
            answer.note(
                "\(limit) matches limit reached. Use limit=\(limit * 2) for more, or a narrower pattern",
                "matchLimitReached", .integer(limit))
        }
        if isAnyLineCut {
            answer.lastNote =
                "Some lines cut to \(limits.maxSearchLineCharacters) characters. Use read to see them whole"
            answer.details["linesTruncated"] = true
        }
        return answer.output(limits, isComplete: isComplete)
    }

    /// Where a text of more than `limit` characters is cut; characters are counted as UTF-16, as in Pi.
    private static func cut(_ text: [UInt8], at limit: Int) -> Int? {
        guard text.count > limit else { return nil }
        var units = 0
        for (index, byte) in text.enumerated() where byte & 0xC0 != 0x80 {
            units += byte >= 0xF0 ? 2 : 1
            if units > limit { return index }
        }
        return nil
    }
}
