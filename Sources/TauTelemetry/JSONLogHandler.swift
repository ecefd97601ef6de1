package import Logging
package import TauCore

/// Writes each log message as one line of JSON: `time`, `level`, `logger`, `message`, then the metadata.
package struct JSONLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let now: @Sendable () -> Timestamp
    private let output: LogOutput

    /// Bytes of one metadata value; longer ones are cut.
    static let maxValueBytes = 4096

    package init(label: String, level: Logger.Level, now: @escaping @Sendable () -> Timestamp, output: LogOutput) {
        self.label = label
        logLevel = level
        self.now = now
        self.output = output
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var merged = metadata
        if let provided = metadataProvider?.get() { merged.merge(provided) { own, _ in own } }
        if let explicit = event.metadata { merged.merge(explicit) { _, new in new } }
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("time", now().description)
            writer.member("level", event.level.rawValue)
            writer.member("logger", label)
            writer.member("message", event.message.description)
            for (key, value) in merged.sorted(by: { $0.key < $1.key }) {
                writer.member(key, Self.bounded(value.description))
            }
        }
        output.write(writer.bytes + [UInt8(ascii: "\n")], isError: event.level >= .error)
    }

    private static func bounded(_ text: String) -> String {
        guard text.utf8.count > maxValueBytes else { return text }
        return String(decoding: text.utf8.prefix(maxValueBytes), as: UTF8.self) + "…"
    }
}
