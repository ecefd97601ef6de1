internal import Logging
internal import TauCore

/// One log message as it is written: a JSON object for programs, or a line of text for people.
struct LogLine {
    var time: Timestamp
    var label: String
    var level: Logger.Level
    var message: String
    var metadata: Logger.Metadata

    /// What has a name of its own in the object; everything else stands in `fields`.
    private static let names = ["request_id", "trace_id", "span_id", "session_id", "run_id", "user_id"]

    /// Bytes of one value; longer ones are cut.
    private static let maxValueBytes = 4096

    /// `{"ts":…,"level":…,"logger":…,"message":…,"run_id":…,"fields":{…}}` and a line feed.
    var json: [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("ts", time.description)
            writer.member("level", level.rawValue)
            writer.member("logger", label)
            writer.member("message", Self.value(message))
            for name in Self.names {
                if let value = metadata[name] { writer.member(name, Self.value(value.description)) }
            }
            let fields = fields
            guard !fields.isEmpty else { return }
            writer.key("fields")
            writer.object { writer in
                for (name, value) in fields { writer.member(name, value) }
            }
        }
        return writer.bytes + [UInt8(ascii: "\n")]
    }

    private var fields: [(String, String)] {
        metadata.filter { !Self.names.contains($0.key) }.sorted { $0.key < $1.key }.map {
            ($0.key, Self.value($0.value.description))
        }
    }

    /// `12:34:56.789 WARNING message  name=value`, with the level in colour if there is any.
    func text(isColoured: Bool) -> [UInt8] {
        let name = level.rawValue.uppercased()
        let padding = String(repeating: " ", count: max(0, 8 - name.count))
        let colour =
            switch level {
            case .trace, .debug: "2"
            case .info, .notice: "36"
            case .warning: "33"
            case .error, .critical: "31"
            }
        let shown = isColoured ? "\u{1B}[\(colour)m\(name)\u{1B}[0m" : name
        var line = "\(time.description.dropFirst(11).prefix(12)) \(shown)\(padding) \(Self.printable(message))"
        let ids = Self.names.compactMap { name in metadata[name].map { (name, Self.value($0.description)) } }
        for (name, value) in ids + fields {
            let quote = value.contains(" ") ? "\"" : ""
            line += "  \(name)=\(quote)\(Self.printable(value))\(quote)"
        }
        return Array((line + "\n").utf8)
    }

    private static func value(_ text: String) -> String {
        guard text.utf8.count > maxValueBytes else { return Redaction.redacted(text) }
        return Redaction.redacted(String(decoding: text.utf8.prefix(maxValueBytes), as: UTF8.self)) + "…"
    }

    /// Nothing in a value may move the cursor or begin another line.
    private static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) ? "·" : $0 }))
    }
}
