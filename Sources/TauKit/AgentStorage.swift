public import Logging
public import TauCore
internal import TauRuntime
package import TauStorage
internal import TauSystem

/// Where an agent keeps its sessions and runs.
public struct AgentStorage: Sendable {
    let sessions: any SessionStore
    let runs: any RunStore
    /// The other servers on the same storage, where it can have several.
    let peers: (any PeerServers)?
    let archive: (any SessionArchive)?
    /// Users and keys, where there may be more than one user.
    package let accounts: (any AccountStore)?
    /// What was used of models, and what is set aside.
    package let ledger: (any Ledger)?
    /// Which requests were carried out.
    package let idempotency: (any IdempotencyStore)?
    /// Works until its task is cancelled.
    let maintain: @Sendable () async -> Void
    /// Sets the gauges of what is here now.
    let noteMeasurements: @Sendable () -> Void
    private let sync: @Sendable () async throws(StoreError) -> Void
    private let end: @Sendable () async throws(StoreError) -> Void

    func checkpoint() async throws(StoreError) { try await sync() }
    func close() async throws(StoreError) { try await end() }

    /// A store of one's own. `runs` may be in memory: then runs that wait for an approval do not outlive the process.
    public init(sessions: any SessionStore, runs: any RunStore = MemoryRunStore()) {
        self.sessions = sessions
        self.runs = runs
        peers = nil
        archive = nil
        accounts = nil
        ledger = nil
        idempotency = nil
        maintain = {}
        noteMeasurements = {}
        sync = { () throws(StoreError) in }
        end = { () throws(StoreError) in }
    }

    private init(_ storage: JSONLStorage) {
        sessions = storage.sessions
        runs = storage.runs
        peers = nil
        archive = nil
        accounts = storage.accounts
        ledger = storage.accounts.ledger
        idempotency = storage.accounts.idempotency
        maintain = {
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    await storage.sessions.maintain(checkpointSeconds: storage.settings.checkpointSeconds)
                }
                group.addTask { await storage.accounts.ledger.serve() }
            }
        }
        noteMeasurements = {}
        sync = { () throws(StoreError) in try await storage.sessions.checkpoint() }
        end = { () throws(StoreError) in
            try await storage.sessions.shutDown()
            try await storage.runs.close()
        }
    }

    private init(_ storage: PostgresStorage) {
        sessions = storage.sessions
        runs = storage.runs
        peers = storage.peers
        archive = storage.archive
        accounts = storage.accounts
        ledger = storage.ledger
        idempotency = storage.idempotency
        maintain = { await storage.maintain() }
        noteMeasurements = { storage.noteMeasurements() }
        sync = { () throws(StoreError) in }
        end = { () throws(StoreError) in try await storage.close() }
    }

    /// Sessions and runs in PostgreSQL, for as many servers as there are. Makes or changes the tables if they are not of this version.
    ///
    /// Throws if the database cannot be reached, or is of a later version.
    public static func postgres(
        _ settings: PostgresTier, logger: Logger = Logger(label: "tau")
    ) async throws -> AgentStorage {
        let storage = try PostgresStorage(settings.settings(), logger: logger)
        do throws(StoreError) {
            for step in try await storage.migrate() {
                logger.notice("the database's tables were changed", metadata: ["step": "\(step)"])
            }
            if try await !storage.hasSynchronousStandby() {
                logger.notice(
                    "the database has no synchronous standby: a failover to another one may lose the last entries")
            }
        } catch {
            try? await storage.close()
            throw error
        }
        return AgentStorage(storage)
    }

    /// One Pi session file a session below a directory, which is made if it does not exist, and all that belongs to it.
    public static func jsonl(
        directory: String, _ settings: JSONLSettings = JSONLSettings(), logger: Logger = Logger(label: "tau")
    ) throws -> AgentStorage {
        AgentStorage(try JSONLStorage(directory: directory, settings: settings, logger: logger))
    }
}

/// What of the JSONL storage can be set.
public struct JSONLSettings: Sendable {
    /// Threads for disk work (`store.threads`).
    public var threads = 16
    /// Bytes of the journal (`store.journalBytes`).
    public var journalBytes = JournalLimits().maxBytes
    /// Seconds between two checkpoints (`store.checkpointSeconds`).
    public var checkpointSeconds = 30
    /// Records of ended runs that are kept (`runs.recorded`).
    public var recordedRuns = 10_000
    /// Idempotency keys that are remembered (`http.idempotencyKeys`).
    public var idempotencyKeys = IdempotencyKey.defaultMaxCount
    /// Bytes of one line of a session file (`sessions.maxLineBytes`).
    public var maxLineBytes = SessionFile.Limits().maxLineBytes

    public init() {}
}

/// The files of one data directory.
package struct JSONLStorage: Sendable {
    package let sessions: JSONLSessionStore
    let runs: RunDatabase
    package let accounts: AccountDatabase
    let settings: JSONLSettings

    package init(directory: String, settings: JSONLSettings, logger: Logger) throws {
        self.settings = settings
        try Directory.make(directory)
        let threads = BlockingThreads(count: settings.threads)
        var journal = JournalLimits()
        journal.maxBytes = settings.journalBytes
        accounts = AccountDatabase(
            path: directory + "/accounts.sqlite", maxIdempotencyKeys: settings.idempotencyKeys, threads: threads,
            logger: logger)
        sessions = try JSONLSessionStore(
            directory: directory + "/sessions", catalog: directory + "/catalog.sqlite", accounts: accounts,
            limits: SessionFile.Limits(maxLineBytes: settings.maxLineBytes), journalLimits: journal, threads: threads,
            logger: logger)
        runs = RunDatabase(
            path: directory + "/runs.sqlite", maxRecords: settings.recordedRuns, threads: threads, logger: logger)
    }
}
