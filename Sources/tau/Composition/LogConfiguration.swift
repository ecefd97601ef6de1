internal import Configuration
internal import Logging
internal import ServiceContextModule
internal import ServiceLifecycle
internal import TauCore
internal import TauTelemetry
internal import UnixSignals

/// What is logged, how, and where to (`log.…`).
struct LogConfiguration: Sendable {
    enum Format: String, CaseIterable, Sendable {
        /// Text on a terminal, JSON else.
        case automatic = "auto"
        case json, text
    }

    var level = Logger.Level.info
    var format = Format.automatic
    /// Where `combined.log` and `error.log` are; nil for standard error.
    var directory: String?
    var limits = LogLimits()

    mutating func apply(_ settings: Settings) throws {
        if let name = try settings.choice("log.level", Logger.Level.allCases.map(\.rawValue)) {
            level = Logger.Level(rawValue: name) ?? level
        }
        if let name = try settings.choice("log.format", Format.allCases.map(\.rawValue)) {
            format = Format(rawValue: name) ?? format
        }
        directory = settings.string("log.dir")
        limits.queueBytes = try settings.integer("log.queueBytes", 65_536...(1 << 30)) ?? limits.queueBytes
        limits.maxFileBytes = try settings.integer("log.maxFileBytes", 65_536...(1 << 40)) ?? limits.maxFileBytes
        limits.keptFiles = try settings.integer("log.keptFiles", 0...1000) ?? limits.keptFiles
    }

    /// The logger, and what writes its lines.
    func make(now: @escaping @Sendable () -> Timestamp) throws -> (Logger, LogOutput) {
        let isText = format == .text || (format == .automatic && directory == nil && Terminal.errorsAreTerminal)
        let format = isText ? ServerLogHandler.Format.text(isColoured: Terminal.errorsAreColoured) : .json
        let output: LogOutput
        do {
            output = try LogOutput(directory: directory, limits: limits) { format.droppedLine($0, at: now()) }
        } catch {
            throw ConfigurationFailure(key: "log.dir", problem: "cannot be used: \(error)")
        }
        let origin = Logger.MetadataProvider {
            guard let context = ServiceContext.current else { return [:] }
            var metadata: Logger.Metadata = [:]
            if let request = context.requestID { metadata["request_id"] = "\(request)" }
            if let trace = context.trace {
                metadata["trace_id"] = "\(trace.traceText)"
                metadata["span_id"] = "\(trace.spanText)"
            }
            return metadata
        }
        let logger = Logger(label: "tau") { [level] label in
            ServerLogHandler(
                label: label, level: level, format: format, metadataProvider: origin, now: now, output: output)
        }
        return (logger, output)
    }
}

/// Opens the log's files anew on SIGHUP, as those expect who move them away.
struct LogService: Service {
    let log: LogOutput

    func run() async throws {
        await cancelWhenGracefulShutdown {
            for await _ in await UnixSignalsSequence(trapping: .sighup) { log.reopen() }
        }
    }
}
