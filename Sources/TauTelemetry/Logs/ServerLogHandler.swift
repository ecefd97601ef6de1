package import Logging
package import TauCore

/// Hands each log message as one line to an output.
package struct ServerLogHandler: LogHandler {
    package enum Format: Sendable {
        /// A JSON object a line.
        case json
        case text(isColoured: Bool)
    }

    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let format: Format
    private let now: @Sendable () -> Timestamp
    private let output: LogOutput

    package init(
        label: String, level: Logger.Level, format: Format = .json, metadataProvider: Logger.MetadataProvider? = nil,
        now: @escaping @Sendable () -> Timestamp, output: LogOutput
    ) {
        self.label = label
        self.format = format
        self.metadataProvider = metadataProvider
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
        let line = LogLine(
            time: now(), label: label, level: event.level, message: event.message.description, metadata: merged)
        output.write(line.formatted(as: format), isError: event.level >= .error)
    }
}

extension LogLine {
    func formatted(as format: ServerLogHandler.Format) -> [UInt8] {
        switch format {
        case .json: json
        case .text(let isColoured): text(isColoured: isColoured)
        }
    }
}

extension ServerLogHandler.Format {
    /// The line that tells how many others found no room.
    package func droppedLine(_ count: Int, at time: Timestamp) -> [UInt8] {
        LogLine(
            time: time, label: "tau", level: .error, message: "log lines were dropped", metadata: ["count": "\(count)"]
        ).formatted(as: self)
    }
}
