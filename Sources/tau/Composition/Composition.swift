internal import Logging
internal import ServiceLifecycle
internal import TauCore
internal import TauHTTP
internal import TauKit
internal import TauLimits
internal import TauProviders
internal import TauRedis
internal import TauRuntime
internal import TauStorage
internal import TauSystem
internal import TauTelemetry
internal import TauTools
internal import UnixSignals

/// A server, put together: an agent, as any program may have one, and the HTTP edge on top.
struct Composition {
    let configuration: ServerConfiguration
    let logger: Logger
    let log: LogOutput
    let agent: Agent
    let audit: AuditFile
    let authenticator: KeyAuthenticator
    let certificate: CertificateService?
    /// The admin key, if it was not configured but lies in the data directory.
    let keyFile: String?

    static func make(_ configuration: ServerConfiguration) async throws -> Composition {
        let (logger, log) = try configuration.log.make(now: now)
        do throws(SystemError) {
            try Directory.make(configuration.dataDirectory)
        } catch {
            throw ConfigurationFailure(
                key: "data.dir", problem: "\(configuration.dataDirectory) cannot be made: \(error.reason)")
        }
        let keyFile = configuration.adminKey == nil ? configuration.adminKeyPath : nil
        let adminKey = try AdminKey(configuration.adminKey ?? AdminKey.load(path: configuration.adminKeyPath))
        let certificate = try configuration.certificateFiles.map { try CertificateService($0, logger: logger) }
        let models: AgentModels
        do throws(ProvidersConfigurationError) {
            models = try AgentModels(configuration.providers, logger: logger)
        } catch {
            throw ConfigurationFailure(key: error.setting, problem: error.problem)
        }
        do {
            // Beside the storage, because trying the sandbox takes as long as everything else together.
            async let tools = makeTools(configuration, logger)
            let audit = AuditFile(path: configuration.auditPath, threads: BlockingThreads(count: 1))
            var environment = RuntimeEnvironment.process(logger: logger)
            environment.audit = audit
            let storage = try await makeStorage(configuration, logger)
            let agent = try await Agent(
                storage: storage, models: models, tools: try await tools,
                systemPrompt: configuration.systemPrompt, limits: configuration.runtime, budgets: configuration.budgets,
                environment: environment)
            let authenticator = KeyAuthenticator(
                adminKey: adminKey, metricsKey: try configuration.telemetry.metricsKey.map { try AdminKey($0) },
                accounts: agent.accounts,
                tokens: try await configuration.tokens.make(now: now, uptime: LimitsConfiguration.uptimeMilliseconds),
                limits: configuration.limits.keys, now: now,
                uptime: LimitsConfiguration.uptimeMilliseconds)
            return Composition(
                configuration: configuration, logger: logger, log: log, agent: agent, audit: audit,
                authenticator: authenticator,
                certificate: certificate, keyFile: keyFile)
        } catch {
            await models.close()
            await log.flush()
            throw error
        }
    }

    private static func makeStorage(
        _ configuration: ServerConfiguration, _ logger: Logger
    ) async throws -> AgentStorage {
        if let postgres = configuration.postgres { return try await .postgres(postgres, logger: logger) }
        return try .jsonl(directory: configuration.dataDirectory, configuration.storage, logger: logger)
    }

    private static func makeTools(_ configuration: ServerConfiguration, _ logger: Logger) async throws -> AgentTools {
        adoptOrphans()
        let tools = try await BuiltInTools.make(
            configuration: configuration.tools,
            threads: BlockingThreads(count: max(1, configuration.storage.threads / 2)))
        for listing in tools.listings {
            let name = listing.definition.name
            if let reason = listing.unavailable {
                logger.warning("a tool is off", metadata: ["tool": "\(name)", "reason": "\(reason)"])
            }
        }
        if let weakness = tools.weakness {
            logger.warning("commands have weaker bounds", metadata: ["note": "\(weakness)"])
        }
        return AgentTools(catalog: tools)
    }

    /// Serves until the process is told to stop, or `stop` returns; then finishes what runs, within `http.drainSeconds`.
    func serve(
        signals: [UnixSignal], telemetry: Telemetry? = nil, until stop: (@Sendable () async -> Void)? = nil,
        onListening: @escaping @Sendable (Int) async -> Void
    ) async throws {
        var edge = EdgeConfiguration(now: Self.now)
        edge.maxBodyBytes = configuration.maxBodyBytes
        edge.maxImportBytes = configuration.maxImportBytes
        edge.heartbeat = .seconds(configuration.heartbeatSeconds)
        let redis = try configuration.postgres?.redisURL.map { RedisClient(try RedisConfiguration(url: $0)) }
        edge.rateLimits = configuration.limits.make(redis, logger: logger)
        edge.maxStreamsPerUser = configuration.maxStreams
        edge.maxConnections = configuration.maxConnections
        edge.headSeconds = configuration.headSeconds
        edge.idleSeconds = configuration.idleSeconds
        edge.maxKeptAnswerBytes = configuration.maxKeptAnswerBytes
        edge.audit = audit
        edge.trustedProxies = configuration.trustedProxies
        edge.metrics = telemetry?.metrics.map { configuration.telemetry.metricsPage($0, of: agent) }
        edge.certificate = certificate?.certificate
        edge.healthParts = configuration.healthParts(agent.runtime, redis)
        guard let idempotency = agent.idempotency else { preconditionFailure("both storages keep idempotency keys") }
        let server = EdgeServer(
            runtime: agent.runtime, authenticator: authenticator, idempotency: idempotency,
            host: configuration.host, port: configuration.port,
            administration: administration, configuration: edge, logger: logger, onListening: onListening)
        // Stopped from the last to the first: new work is refused, connections end, runs finish.
        let services: [any Service] =
            lifecycle(signals)
            + [telemetry?.exporter(configuration, logger: logger)].compactMap(\.self) + agent.services
            + (certificate.map { [$0] } ?? []) + [
                KeyUseService(authenticator: authenticator, logger: logger), server,
                DrainService(runtime: agent.runtime, patience: .seconds(configuration.drainSeconds)),
            ]
        var group = ServiceGroupConfiguration(
            services: services.map { .init(service: $0) }, gracefulShutdownSignals: signals, logger: logger)
        if let stop {
            group.services.append(
                .init(service: StopService(stop: stop), successTerminationBehavior: .gracefullyShutdownGroup))
        }
        // What has to be interrupted needs a moment to be written.
        group.maximumGracefulShutdownDuration = .seconds(configuration.drainSeconds + Self.writingSeconds)
        group.maximumCancellationDuration = .seconds(10)
        let result: Result<Void, any Error>
        do {
            try await ServiceGroup(configuration: group).run()
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await agent.close()
        await redis?.close()
        await log.flush()
        try result.get()
    }

    /// What listens to the system; stopped last. Nothing for a server inside a command.
    private func lifecycle(_ signals: [UnixSignal]) -> [any Service] {
        guard !signals.isEmpty else { return [] }
        var services: [any Service] = [
            LogService(log: log), ImpatienceService(signals: signals, runtime: agent.runtime),
        ]
        if let manager = ServiceManager(), let microseconds = manager.watchdogMicroseconds {
            services.append(WatchdogService(manager: manager, microseconds: microseconds))
        }
        return services
    }

    private var administration: Administration? {
        agent.accounts.map { accounts in
            Administration(accounts: accounts) {
                let key = APIKeyText.generate()
                return Administration.NewKey(text: key.text, id: key.id, digest: key.digest)
            } noteChange: { [authenticator] in
                authenticator.forgetKnown()
            }
        }
    }

    // MARK: Parts

    private static let writingSeconds = 10

    static let now: @Sendable () -> Timestamp = { Timestamp(milliseconds: wallClockMilliseconds()) }

}

/// Writes down when keys were last used, now and then and at the end.
private struct KeyUseService: Service {
    let authenticator: KeyAuthenticator
    let logger: Logger

    private static let interval = Duration.seconds(10)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                try? await Task.sleep(for: Self.interval)
                await flush()
            }
        }
    }

    private func flush() async {
        do throws(StoreError) {
            try await authenticator.flushUses()
        } catch {
            logger.warning("the last uses of keys were not written down", metadata: ["reason": "\(error)"])
        }
    }
}
