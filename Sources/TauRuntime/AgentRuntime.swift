internal import Logging
internal import Synchronization
public import TauCore

/// The façade of the agent at work: everything that the edge asks for goes through here.
///
/// Its `supervisor` must run as a service; runs start only then.
public final class AgentRuntime: Sendable {
    public let supervisor: RunSupervisor
    public let models: any ModelCatalog
    public let tools: any ToolCatalog
    let store: any SessionStore
    let sessions: LiveSessions
    let runs: any RunStore
    let peers: (any PeerServers)?
    let archive: (any SessionArchive)?
    let budgets: Budgets?
    let registry: RunRegistry
    let gates: ModelGates
    /// By tool name.
    let schemas: [String: ArgumentSchema]
    let environment: RuntimeEnvironment
    let limits: RuntimeLimits
    let defaultSystemPrompt: String?
    private let draining = Mutex(false)

    /// With a ledger all that is used of models is written down, and the budgets bound it.
    ///
    /// Throws `invalidArguments` if a tool's parameters are not a schema that calls can be checked against, or two tools
    /// have one name.
    public init(
        store: any SessionStore, runs: any RunStore, peers: (any PeerServers)? = nil,
        archive: (any SessionArchive)? = nil, ledger: (any Ledger)? = nil, budgets: BudgetSettings = BudgetSettings(),
        models: any ModelCatalog, tools: any ToolCatalog,
        environment: RuntimeEnvironment,
        limits: RuntimeLimits = RuntimeLimits(), defaultSystemPrompt: String?
    ) throws(ToolFailure) {
        schemas = try Self.schemas(of: tools.listings, patterns: environment.patterns)
        self.store = store
        self.runs = runs
        self.peers = peers
        self.archive = archive
        self.budgets = ledger.map { Budgets(ledger: $0, settings: budgets) }
        self.models = models
        self.tools = tools
        self.environment = environment
        self.limits = limits
        self.defaultSystemPrompt = defaultSystemPrompt
        supervisor = RunSupervisor(maxWaiting: limits.maxActiveRuns)
        sessions = LiveSessions(store: store, environment: environment, limits: limits)
        registry = RunRegistry(limits: limits)
        gates = ModelGates(limits: limits, now: environment.now)
    }

    private static func schemas(
        of listings: [ToolListing], patterns: ArgumentSchema.PatternCompiler?
    ) throws(ToolFailure) -> [String: ArgumentSchema] {
        var schemas: [String: ArgumentSchema] = [:]
        for tool in listings.map(\.definition) {
            guard schemas[tool.name] == nil else {
                throw ToolFailure(.invalidArguments, "There are two tools with the name \(tool.name)")
            }
            do throws(ToolFailure) {
                schemas[tool.name] = try ArgumentSchema(tool.parameters, patterns: patterns)
            } catch {
                throw ToolFailure(.invalidArguments, "The tool \(tool.name) cannot be registered. \(error.message)")
            }
        }
        return schemas
    }

    // MARK: Drain

    /// Refuses new work from now on; what runs goes on.
    public func drain() { draining.withLock { $0 = true } }

    public var isDraining: Bool { draining.withLock { $0 } }

    func requireOpen() throws(RuntimeError) {
        guard !isDraining else { throw RuntimeError(.draining, "The server is shutting down.") }
    }

    /// Closes all sessions; for the end of the process, when nothing runs any more.
    public func close() async { await sessions.closeAll() }

    /// Sets the gauges of what is here now.
    package func noteMeasurements() async {
        Measurements.activeRuns.set(registry.activeCount)
        Measurements.waitingCalls.set(gates.waitingCount)
        Measurements.openSessions.set(await sessions.count)
    }

    public func checkStorage() async throws(StoreError) { try await store.checkHealth() }

    // MARK: Sessions

    /// A session's summary and the run that is at work on it.
    public struct SessionView: Sendable {
        public var summary: SessionSummary
        public var activeRun: RunID?
    }

    public func createSession(
        _ draft: SessionDraft, owner: Owner = .local, attempt: RequestAttempt? = nil
    ) async throws(RuntimeError) -> SessionView {
        try requireOpen()
        if let made = try await madeSession(by: attempt) { return made }
        let time = environment.now()
        let header = SessionHeader(
            id: newSessionID(for: attempt, at: time), timestamp: time,
            workingDirectory: draft.workingDirectory ?? "/workspace")
        var contents: [NewEntry] = []
        if let model = draft.model { contents.append(.modelChange(try resolve(model).reference)) }
        if let level = draft.thinkingLevel { contents.append(.thinkingLevelChange(level)) }
        if let names = draft.toolNames { contents.append(.activeToolsChange(try checkTools(names))) }
        if let prompt = draft.systemPrompt {
            contents.append(.message(.system(SystemMessage(text: prompt, timestamp: time))))
        }
        if let name = draft.name { contents.append(.sessionInfo(name: name)) }
        if let metadata = draft.metadata, !metadata.members.isEmpty {
            contents.append(.custom(type: SessionTotals.metadataType, data: .object(metadata)))
        }
        return try await create(SessionFile(header: header, entries: chain(contents, at: time)), owner: owner)
    }

    private func chain(_ contents: [NewEntry], at time: Timestamp) -> [Entry] {
        var entries: [Entry] = []
        for content in contents {
            let id = environment.identifiers.entryID { id in entries.contains { $0.id == id } }
            entries.append(Entry(content, id: id, parentID: entries.last?.id, timestamp: time))
        }
        return entries
    }

    func create(_ file: SessionFile, owner: Owner) async throws(RuntimeError) -> SessionView {
        let session = try await storing { () throws(StoreError) in try await sessions.create(file, owner: owner) }
        await sessions.leave(session)
        return SessionView(summary: session.summary, activeRun: nil)
    }

    /// Makes a session of a Pi session file of version 1 to 3. A line that is no entry refuses the whole file.
    public func importSession(
        _ content: [UInt8], owner: Owner = .local
    ) async throws(RuntimeError) -> SessionView {
        try requireOpen()
        let file: SessionFile
        do throws(EntryError) {
            file = try SessionFile(
                parsing: content, limits: SessionFile.Limits(maxLineBytes: limits.maxLineBytes),
                identifiers: environment.identifiers)
        } catch {
            throw RuntimeError(
                .invalidContent, "The file is no session: \(error.reason)",
                details: [.init(path: "line 1", message: error.reason)])
        }
        var problems = file.findings.map { RuntimeError.Detail(path: "line \($0.lineNumber)", message: $0.reason) }
        if !file.tornTail.isEmpty {
            let number = file.bytes.count { $0 == UInt8(ascii: "\n") } + 1
            problems.append(.init(path: "line \(number)", message: "the last line is cut off"))
        }
        guard problems.isEmpty else {
            let shown = Array(problems.prefix(20))
            throw RuntimeError(
                .invalidContent, "\(problems.count) of the file's lines cannot be read; nothing was stored.",
                details: shown)
        }
        return try await create(file, owner: owner)
    }

    /// Opens the session for the time of `body`.
    func withSession<Value: Sendable>(
        _ id: SessionID, _ body: (LiveSession) async throws(RuntimeError) -> Value
    ) async throws(RuntimeError) -> Value {
        let session = try await storing { () throws(StoreError) in try await sessions.enter(id) }
        let result: Result<Value, RuntimeError>
        do throws(RuntimeError) {
            result = .success(try await body(session))
        } catch {
            result = .failure(error)
        }
        await sessions.leave(session)
        return try result.get()
    }

    public func session(_ id: SessionID) async throws(RuntimeError) -> SessionView {
        guard await isReadFromStore(id) else {
            return try await withSession(id) { session in
                SessionView(summary: session.summary, activeRun: session.activeRun)
            }
        }
        let summary = try await storing { () throws(StoreError) in try await store.summary(of: id) }
        return SessionView(summary: summary, activeRun: try await activeRuns(of: [id])[id])
    }

    public func listSessions(
        _ query: SessionQuery
    ) async throws(RuntimeError) -> (sessions: [SessionView], nextCursor: String?) {
        let page = try await storing { () throws(StoreError) in try await store.list(query) }
        let active = try await activeRuns(of: page.sessions.map(\.id))
        return (page.sessions.map { SessionView(summary: $0, activeRun: active[$0.id]) }, page.nextCursor)
    }

    public func updateSession(_ id: SessionID, _ update: SessionUpdate) async throws(RuntimeError) -> SessionView {
        try requireOpen()
        var contents: [NewEntry] = []
        if let model = update.model { contents.append(.modelChange(try resolve(model).reference)) }
        if let level = update.thinkingLevel { contents.append(.thinkingLevelChange(level)) }
        if let name = update.name { contents.append(.sessionInfo(name: name)) }
        if let metadata = update.metadata {
            contents.append(.custom(type: SessionTotals.metadataType, data: .object(metadata)))
        }
        return try await withSession(id) { [contents] session throws(RuntimeError) in
            _ = try await append(contents, to: session)
            return SessionView(summary: session.summary, activeRun: session.activeRun)
        }
    }

    /// Labels an entry, or takes its label away.
    public func label(_ entry: EntryID, of id: SessionID, as label: String?) async throws(RuntimeError) -> Entry {
        try requireOpen()
        return try await withSession(id) { session throws(RuntimeError) in
            guard session.read({ $0.contains(entry) }) else {
                throw RuntimeError(.notFound, "There is no such entry.")
            }
            let entries = try await append([.label(target: entry, label: label)], to: session)
            return entries[0]
        }
    }

    /// Appends, and lets go of a session whose file is in doubt after an error.
    func append(
        _ contents: [NewEntry], to session: LiveSession, at parent: EntryID?? = nil,
        run: (([Entry]) -> RunRecord)? = nil
    ) async throws(RuntimeError) -> [Entry] {
        do throws(StoreError) {
            return try await session.append(contents, at: parent, run: run)
        } catch {
            await sessions.discard(session)
            throw RuntimeError(error)
        }
    }

    /// Stops the session's run and removes everything: entries, workspace, events.
    public func deleteSession(_ id: SessionID) async throws(RuntimeError) {
        for run in registry.runs(of: id) where !run.snapshot.status.isFinal {
            run.cancellation.raise()
            await run.journal.waitForEnd()
        }
        try await storing { () throws(StoreError) in try await sessions.delete(id) }
        try await storing { () throws(StoreError) in try await runs.removeRecords(of: id) }
        registry.forget(id)
        do throws(ToolFailure) {
            try await tools.removeWorkspace(of: id)
        } catch {
            environment.logger.error(
                "a deleted session's workspace was left", metadata: ["session_id": "\(id)", "reason": "\(error)"])
            throw RuntimeError(.storageUnavailable, "The session is deleted, but its workspace could not be removed.")
        }
    }

    // MARK: Reading

    public func entries(
        of id: SessionID, after position: EntryPosition, limit: Int
    ) async throws(RuntimeError) -> (lines: [ArraySlice<UInt8>], next: Int?) {
        try await withReading(id) { session throws(RuntimeError) in
            let page = session.read { tree -> (lines: [ArraySlice<UInt8>], next: Int?)? in
                let start: Int
                switch position {
                case .start: start = 0
                case .index(let index): start = max(0, index)
                case .entry(let entry):
                    guard let index = tree.index(of: entry) else { return nil }
                    start = index + 1
                }
                let rest = tree.entries[min(start, tree.entries.count)...]
                let lines = rest.prefix(limit).map(\.line)
                return (lines, rest.count > limit ? start + limit : nil)
            }
            guard let page else { throw RuntimeError(.notFound, "There is no such entry to go on after.") }
            return page
        }
    }

    public func tree(of id: SessionID) async throws(RuntimeError) -> (leafID: EntryID?, nodes: [TreeNode]) {
        try await withReading(id) { session in session.read { ($0.leafID, $0.nodes) } }
    }

    /// What a model would be sent at `leaf`, or at the session's leaf.
    public func context(
        of id: SessionID, leaf: EntryID?
    ) async throws(RuntimeError) -> (context: ModelContext, tokens: Int) {
        let context: ModelContext?
        if await isReadFromStore(id) {
            context = try await storing { () throws(StoreError) in try await store.context(of: id, leaf: leaf) }
        } else {
            context = try await withSession(id) { session -> ModelContext? in
                leaf == nil ? session.context() : session.read { tree -> ModelContext? in tree.context(at: leaf) }
            }
        }
        guard let context else { throw RuntimeError(.notFound, "There is no such entry.") }
        return (context, TokenEstimate.tokens(of: context))
    }

    public func exportSession(_ id: SessionID) async throws(RuntimeError) -> SessionExport {
        try await storing { () throws(StoreError) in try await store.export(id) }
    }
}

/// Where a page of entries begins.
public enum EntryPosition: Sendable {
    case start
    case entry(EntryID)
    case index(Int)
}

/// What a new session starts with.
public struct SessionDraft: Sendable {
    public var name: String?
    public var model: ModelReference?
    public var thinkingLevel: ThinkingLevel?
    public var systemPrompt: String?
    /// The tools that the session may use; nil for all.
    public var toolNames: [String]?
    public var metadata: JSONObject?
    public var workingDirectory: String?

    public init() {}
}

/// What changes on a session; nil stays.
public struct SessionUpdate: Sendable {
    public var name: String?
    public var model: ModelReference?
    public var thinkingLevel: ThinkingLevel?
    public var metadata: JSONObject?

    public init() {}
}
