internal import Glibc
internal import Logging
internal import ServiceLifecycle
internal import TauCore
internal import TauHTTP
internal import TauLimits
internal import TauProviders
internal import TauRuntime
internal import TauStorage
internal import TauSystem
internal import TauTelemetry
internal import TauTools
internal import UnixSignals

/// All parts of a server, put together. The only place where a port becomes a concrete type.
struct Composition {
    let configuration: ServerConfiguration
    let logger: Logger
    let runtime: AgentRuntime
    private let store: JSONLSessionStore
    private let runs: RunDatabase
    let authenticator: AdminKey
    private let models: ProviderCatalog
    /// The admin key, if it was not configured but lies in the data directory.
    let keyFile: String?

    static func make(_ configuration: ServerConfiguration) async throws -> Composition {
        let logger = try makeLogger(configuration)
        try makeDirectory(configuration.dataDirectory)
        let keyFile = configuration.adminKey == nil ? configuration.adminKeyPath : nil
        let key = try configuration.adminKey ?? AdminKey.load(path: configuration.adminKeyPath)

        let threads = BlockingThreads(count: configuration.storeThreads)
        let store = try makeStore(configuration, threads, logger)
        let runs = RunDatabase(
            path: configuration.runsPath, maxRecords: configuration.recordedRuns, threads: threads, logger: logger)
        let models: ProviderCatalog
        do throws(ProvidersConfigurationError) {
            models = try ProviderCatalog(configuration.providers, logger: logger)
        } catch {
            throw ConfigurationFailure(key: error.setting, problem: error.problem)
        }
        do {
            let tools = try await BuiltInTools.make(configuration: configuration.tools, threads: threads)
            for listing in tools.listings {
                guard let reason = listing.unavailable else { continue }
                logger.warning(
                    "a tool is off", metadata: ["tool": "\(listing.definition.name)", "reason": "\(reason)"])
            }
            let environment = RuntimeEnvironment(now: now, node: hostName(), logger: logger)
            let runtime = AgentRuntime(
                store: store, runs: runs, models: models, tools: tools, environment: environment,
                limits: configuration.runtime,
                defaultSystemPrompt: configuration.systemPrompt)
            return Composition(
                configuration: configuration, logger: logger, runtime: runtime, store: store, runs: runs,
                authenticator: try AdminKey(key), models: models, keyFile: keyFile)
        } catch {
            await models.shutdown()
            throw error
        }
    }

    /// Serves until the process is told to stop, or `stop` returns; then finishes what runs, within `http.drainSeconds`.
    func serve(
        signals: [UnixSignal], until stop: (@Sendable () async -> Void)? = nil,
        onListening: @escaping @Sendable (Int) async -> Void
    ) async throws {
        var edge = EdgeConfiguration(now: Self.now)
        edge.maxBodyBytes = configuration.maxBodyBytes
        edge.maxImportBytes = configuration.maxImportBytes
        edge.heartbeat = .seconds(configuration.heartbeatSeconds)
        try await runtime.resume()
        let server = EdgeServer(
            runtime: runtime, authenticator: authenticator, host: configuration.host, port: configuration.port,
            configuration: edge, logger: logger, onListening: onListening)
        // Stopped from the last to the first: new work is refused, connections end, runs finish.
        let services: [any Service] = [
            StoreUpkeep(store: store, checkpointSeconds: configuration.checkpointSeconds), runtime.supervisor, server,
            DrainService(runtime: runtime),
        ]
        var group = ServiceGroupConfiguration(
            services: services.map { .init(service: $0) }, gracefulShutdownSignals: signals, logger: logger)
        if let stop {
            group.services.append(
                .init(service: StopService(stop: stop), successTerminationBehavior: .gracefullyShutdownGroup))
        }
        group.maximumGracefulShutdownDuration = .seconds(configuration.drainSeconds)
        group.maximumCancellationDuration = .seconds(10)
        let result: Result<Void, any Error>
        do {
            try await ServiceGroup(configuration: group).run()
            result = .success(())
        } catch {
            result = .failure(error)
        }
        do throws(StoreError) {
            // Before the sessions are closed, so that each needs no sync of its own.
            try await store.checkpoint()
            await runtime.close()
            try await store.shutDown()
            try await runs.close()
        } catch {
            logger.error(
                "the store could not be closed well; the next start replays its journal",
                metadata: ["reason": "\(error)"])
            await runtime.close()
        }
        await models.shutdown()
        try result.get()
    }

    // MARK: Parts

    static func makeStore(
        _ configuration: ServerConfiguration, _ threads: BlockingThreads, _ logger: Logger
    ) throws(StoreError) -> JSONLSessionStore {
        var journal = JournalLimits()
        journal.maxBytes = configuration.journalBytes
        return try JSONLSessionStore(
            directory: configuration.sessionsDirectory, catalog: configuration.catalogPath,
            limits: SessionFile.Limits(maxLineBytes: configuration.runtime.maxLineBytes), journalLimits: journal,
            threads: threads, logger: logger)
    }

    static let now: @Sendable () -> Timestamp = { Timestamp(milliseconds: wallClockMilliseconds()) }

    private static func makeLogger(_ configuration: ServerConfiguration) throws -> Logger {
        let output = try configuration.logDirectory.map { try LogOutput(directory: $0) } ?? LogOutput()
        let level = Logger.Level(rawValue: configuration.logLevel) ?? .info
        return Logger(label: "tau") { JSONLogHandler(label: $0, level: level, now: now, output: output) }
    }

    /// The directory may be passed through, so that tools reach their workspace; what is secret in it has its own mode.
    private static func makeDirectory(_ path: String) throws {
        guard mkdir(path, 0o711) == 0 || errno == EEXIST else {
            throw ConfigurationFailure(
                key: "data.dir", problem: "\(path) cannot be made: \(String(cString: strerror(errno)))")
        }
    }

    private static func hostName() -> String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "localhost" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// Checkpoints of the store, for as long as the server runs. It stands first, so it is stopped last.
private struct StoreUpkeep: Service {
    let store: JSONLSessionStore
    let checkpointSeconds: Int

    func run() async throws {
        await cancelWhenGracefulShutdown { await store.maintain(checkpointSeconds: checkpointSeconds) }
    }
}

/// Ends the server when what it was started for is done.
private struct StopService: Service {
    let stop: @Sendable () async -> Void

    func run() async { await stop() }
}

/// Refuses new work as soon as the shutdown begins. It stands last, so it is stopped first.
private struct DrainService: Service {
    let runtime: AgentRuntime

    func run() async throws {
        try await gracefulShutdown()
        runtime.drain()
    }
}
