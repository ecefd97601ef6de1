public import Logging
public import ServiceLifecycle
@_exported public import TauCore
@_exported public import TauRuntime

/// An agent inside a program: models, tools, sessions and runs, put together. `tau serve` is this with an HTTP server on top.
///
/// It works for as long as its `services` run; `withAgent` sees to all of that.
public final class Agent: Sendable {
    /// Everything that can be asked of it.
    public let runtime: AgentRuntime
    /// Users and keys, where there may be more than one user.
    package var accounts: (any AccountStore)? { storage.accounts }
    /// Which requests were carried out, where that is remembered beyond the process.
    package var idempotency: (any IdempotencyStore)? { storage.idempotency }
    private let storage: AgentStorage
    private let models: AgentModels
    private let logger: Logger

    /// Puts the parts together, and takes up runs that an earlier process has left waiting. Must be closed with `close`.
    ///
    /// `budgets` bound what owners may use of models; what they have used is in the ledger with or without.
    /// `environment` is for tests: the clock, the ids. Throws what the storage says if it cannot be read, and
    /// what is wrong with a tool.
    public init(
        storage: AgentStorage, models: AgentModels, tools: AgentTools = .none, systemPrompt: String? = nil,
        limits: RuntimeLimits = RuntimeLimits(), budgets: BudgetSettings = BudgetSettings(),
        environment: RuntimeEnvironment
    ) async throws {
        self.storage = storage
        self.models = models
        logger = environment.logger
        runtime = try AgentRuntime(
            store: storage.sessions, runs: storage.runs, peers: storage.peers, archive: storage.archive,
            ledger: storage.ledger, budgets: budgets, models: models.catalog,
            tools: tools.catalog,
            environment: environment, limits: limits, defaultSystemPrompt: systemPrompt)
        do {
            try await runtime.resume()
        } catch {
            await close()
            throw error
        }
    }

    /// What works in the background, in the order in which it starts; to be stopped from the last to the first.
    public var services: [any Service] {
        [StorageUpkeep(storage: storage), PeerService(runtime), runtime.supervisor]
    }

    /// Sets the gauges of what is here now, for whoever reads them next.
    package func noteMeasurements() async {
        await runtime.noteMeasurements()
        storage.noteMeasurements()
    }

    /// Closes everything. Nothing may be at work any more.
    public func close() async {
        do throws(StoreError) {
            // Before the sessions are closed, so that each needs no sync of its own.
            try await storage.checkpoint()
            await runtime.close()
            try await storage.close()
        } catch {
            await runtime.close()
            logger.error(
                "the storage could not be closed well; the next start takes up what is left",
                metadata: ["reason": "\(error)"])
        }
        await models.close()
    }
}

/// Runs `body` with an agent at work. Runs that are not over when `body` returns may finish, for at most so long.
public func withAgent<Value: Sendable>(
    storage: AgentStorage, models: AgentModels, tools: AgentTools = .none, systemPrompt: String? = nil,
    limits: RuntimeLimits = RuntimeLimits(), patience: Duration = .seconds(30),
    logger: Logger = Logger(label: "tau"), _ body: @escaping @Sendable (Agent) async throws -> Value
) async throws -> Value {
    let agent = try await Agent(
        storage: storage, models: models, tools: tools, systemPrompt: systemPrompt, limits: limits,
        environment: .process(logger: logger))
    var configuration = ServiceGroupConfiguration(services: agent.services, logger: logger)
    configuration.maximumGracefulShutdownDuration = patience
    let group = ServiceGroup(configuration: configuration)
    let result: Result<Value, any Error>
    do {
        result = try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let result: Result<Value, any Error>
            do { result = .success(try await body(agent)) } catch { result = .failure(error) }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            return result
        }
    } catch {
        await agent.close()
        throw error
    }
    await agent.close()
    return try result.get()
}

private struct StorageUpkeep: Service {
    let storage: AgentStorage

    func run() async throws {
        await cancelWhenGracefulShutdown { await storage.maintain() }
        // A store that needs no upkeep is done at once; the service is not. It throws when it is cancelled, which ends it as well.
        try? await gracefulShutdown()
    }
}
