internal import Logging
internal import ServiceContextModule
public import TauCore

/// What a caller asks a run for.
public struct RunRequest: Sendable {
    /// What to do if the session already has a run at work.
    public enum IfBusy: String, Sendable { case reject, steer, followUp }

    public var content: [ContentBlock]
    /// The entry that the message follows; nil for the session's leaf.
    public var parentID: EntryID?
    public var model: ModelChoice
    public var thinkingLevel: ThinkingLevel?
    public var maxTurns: Int?
    /// US dollars.
    public var maxCost: Double?
    public var ifBusy: IfBusy
    /// The API key that is charged beside the session's owner.
    public var keyID: String?
    /// The role of who asks, for rules of tools; nil where it is not known.
    public var role: Role?
    /// The try at a request that may be sent again: the run gets its id. Nil for a request that is sent once.
    public var attempt: RequestAttempt?

    public init(
        content: [ContentBlock], parentID: EntryID? = nil, model: ModelChoice = .session,
        thinkingLevel: ThinkingLevel? = nil, maxTurns: Int? = nil, maxCost: Double? = nil, ifBusy: IfBusy = .reject,
        keyID: String? = nil, role: Role? = nil, attempt: RequestAttempt? = nil
    ) {
        self.content = content
        self.parentID = parentID
        self.model = model
        self.thinkingLevel = thinkingLevel
        self.maxTurns = maxTurns
        self.maxCost = maxCost
        self.ifBusy = ifBusy
        self.keyID = keyID
        self.role = role
        self.attempt = attempt
    }
}

/// Which model a run uses.
public enum ModelChoice: Sendable {
    /// The branch's model; where it has none, Tau's choice.
    case session
    case automatic
    case named(ModelReference)
}

extension AgentRuntime {
    /// Takes a message: returns once its entry is durable and the run is on its way.
    public func startRun(_ request: RunRequest, in id: SessionID) async throws(RuntimeError) -> ActiveRun {
        try requireOpen()
        let session = try await storing { () throws(StoreError) in try await sessions.enter(id) }
        let run: ActiveRun
        do throws(RuntimeError) {
            run = try await start(request, in: session)
        } catch {
            await sessions.leave(session)
            throw error
        }
        // An answer that is given again after a crash must not name a run that nobody knows.
        if request.attempt != nil { try await storing { () throws(StoreError) in try await runs.flush() } }
        return run
    }

    private func start(_ request: RunRequest, in session: LiveSession) async throws(RuntimeError) -> ActiveRun {
        let time = request.attempt?.time ?? environment.now()
        let runID = request.attempt.map { RunID(unchecked: $0.id) } ?? environment.identifiers.runID(at: time)
        let prompt = UserMessage(content: request.content, timestamp: time)
        guard session.claim(for: runID) else { return try await joinBusy(request, prompt, session) }
        do throws(RuntimeError) {
            return try await launch(request, prompt, runID, session)
        } catch {
            session.release(runID)
            throw error
        }
    }

    private func joinBusy(
        _ request: RunRequest, _ prompt: UserMessage, _ session: LiveSession
    ) async throws(RuntimeError) -> ActiveRun {
        // Nobody but a run takes messages.
        guard request.ifBusy != .reject, let run = session.activeRun.flatMap(registry.find) else {
            throw RuntimeError(
                .runInProgress, "The session has a run at work. Wait for it, cancel it, or ask with ifBusy.")
        }
        try run.enqueue(prompt, in: request.ifBusy == .steer ? .steering : .followUp)
        await sessions.leave(session)
        return run
    }

    private func launch(
        _ request: RunRequest, _ prompt: UserMessage, _ runID: RunID, _ session: LiveSession
    ) async throws(RuntimeError) -> ActiveRun {
        if let parent = request.parentID, !session.read({ $0.contains(parent) }) {
            throw RuntimeError(
                .badRequest, "parentId names no entry of this session.",
                details: [.init(path: "parentId", message: "no such entry")])
        }
        // The context of the session's own leaf is kept, and needed for the first model call anyway.
        let branch =
            request.parentID.map { parent in session.read { $0.context(of: parent) } } ?? session.context()
        let (leaf, dangling) = session.read { tree in
            let leaf = request.parentID ?? tree.leafID
            return (leaf, tree.danglingCalls(of: leaf))
        }
        let settings = branch.settings
        let definitions = offeredTools(settings)
        let selection = try chooseModel(request.model, settings, prompt) { TokenEstimate.tokens(of: branch) }
        let maxCost = [request.maxCost, limits.maxCost].compactMap(\.self).min()
        let early = budgets.map { EarlyHold(ledger: $0.ledger) }
        let route = try route(selection, for: session, keyID: request.keyID, hasBudget: maxCost != nil, early: early)
        let hold = try await requireBudget(for: request, prompt, branch, in: session, selection.model, definitions)
        let model = selection.model.reference
        let level = request.thinkingLevel ?? ThinkingLevel(rawValue: settings.thinkingLevel) ?? .off

        var contents: [NewEntry] = dangling.map { .message(.toolResult($0.interrupted(at: prompt.timestamp))) }
        if settings.model != model || settings.isModelAutomatic != (selection.choice != nil) {
            contents.append(.modelChange(model, choice: selection.choice))
        }
        if level.rawValue != settings.thinkingLevel { contents.append(.thinkingLevelChange(level)) }
        contents.append(.message(.user(prompt)))

        let run = ActiveRun(
            RunRecord(
                run: Run(
                    id: runID, sessionID: session.id, status: .queued, createdAt: prompt.timestamp, model: model,
                    choice: selection.choice, leafID: leaf, node: environment.node)), limits: limits)
        try registry.add(run, of: session.owner)
        do throws(RuntimeError) {
            // It is at work as soon as its message is stored: nothing more is to be said of it before it ends.
            let started = { (entries: [Entry]) in
                run.record(after: entries) { state in
                    state.status = .running
                    state.startedAt = state.createdAt
                }
            }
            let wish = begin(hold, route, early)
            async let holding: Void = take(wish, early)
            let entries = try await append(
                contents, to: session, at: request.parentID.map { .some($0) }, run: started)
            await holding
            run.update { $0.leafID = entries.last?.id }
            runs.noteCarried(started(entries))
            let context = makeContext(
                run, session, route, definitions, level,
                maxTurns: min(request.maxTurns ?? limits.maxTurns, limits.maxTurns), maxCost: maxCost,
                role: request.role, early: early)
            try submit(context, .message(prompt, entries))
            return run
        } catch {
            early?.release()
            registry.finish(run)
            run.update { $0.status = .interrupted }
            runs.note(run.record)
            throw error
        }
    }

    /// Asks for what the run's first call may use, unless it would have to wait for its turn anyway.
    private func begin(_ hold: HoldRequest?, _ route: ModelRoute, _ early: EarlyHold?) -> EarlyHold.Wish? {
        guard let hold, gates.isFree(route.provider) else { return nil }
        return early?.begin(hold)
    }

    private func take(_ wish: EarlyHold.Wish?, _ early: EarlyHold?) async {
        if let wish { await early?.take(wish) }
    }

    private func requireBudget(
        for request: RunRequest, _ prompt: UserMessage, _ context: ModelContext, in session: LiveSession,
        _ model: ModelDescription, _ tools: [ToolDefinition]
    ) async throws(RuntimeError) -> HoldRequest? {
        let payer = Payer(owner: session.owner, keyID: request.keyID, sessionID: session.id)
        return try await requireBudget(for: payer, model, messageTime: prompt.timestamp) {
            let branch = request.parentID == nil ? session.conversation().conversation : Conversation(context)
            return TokenEstimate.bound(
                of: branch.messages, systemPrompt: branch.systemPrompt ?? defaultSystemPrompt, tools: tools,
                for: model.reference) + TokenEstimate.bound(of: request.content)
        }
    }

    func submit(_ context: RunContext, _ start: AgentLoop.Start) throws(RuntimeError) {
        let (run, session) = (context.run, context.session)
        let job = RunSupervisor.Job(context: context, gates: gates, start: start) { [self] failure in
            context.early?.release()
            await finish(run, session, failure)
        }
        guard supervisor.submit(job) else {
            throw RuntimeError(.draining, "The server is shutting down; the message is saved, but not answered.")
        }
    }

    func makeContext(
        _ run: ActiveRun, _ session: LiveSession, _ route: ModelRoute, _ definitions: [ToolDefinition],
        _ level: ThinkingLevel, maxTurns: Int, maxCost: Double?, role: Role?,
        early: EarlyHold? = nil
    ) -> RunContext {
        var logger = environment.logger
        logger[metadataKey: "session_id"] = "\(session.id)"
        logger[metadataKey: "run_id"] = "\(run.id)"
        logger[metadataKey: "user_id"] = "\(session.owner.tenantID)/\(session.owner.userID)"
        return RunContext(
            run: run, session: session, route: route, tools: tools, definitions: definitions, schemas: schemas,
            thinkingLevel: level, defaultSystemPrompt: defaultSystemPrompt, maxTurns: maxTurns, maxCost: maxCost,
            role: role,
            limits: limits, early: early, environment: environment, runs: runs, logger: logger,
            origin: ServiceContext.current)
    }

    private func finish(_ run: ActiveRun, _ session: LiveSession, _ failure: StoreError?) async {
        session.release(run.id)
        registry.finish(run)
        if failure != nil { await sessions.discard(session) }
        await sessions.leave(session)
    }

    // MARK: Runs

    /// A run of this process whose events can be read.
    public func run(_ id: RunID) throws(RuntimeError) -> ActiveRun {
        guard let run = registry.find(id) else { throw RuntimeError(.notFound, "There is no such run.") }
        return run
    }

    /// A run as it is now, or as it was when its server stopped.
    public func snapshot(of id: RunID) async throws(RuntimeError) -> Run {
        if let run = registry.find(id) { return run.snapshot }
        let record = try await storing { () throws(StoreError) in try await runs.record(of: id) }
        guard let record else { throw RuntimeError(.notFound, "There is no such run.") }
        return record.run
    }

    /// The session's runs, newest first: at most as many as one page of records.
    public func runs(of id: SessionID) async throws(RuntimeError) -> [Run] {
        _ = try await session(id)
        let active = registry.runs(of: id).map(\.snapshot)
        let records = try await storing { () throws(StoreError) in
            try await runs.records(of: id, limit: Self.maxListedRuns)
        }
        let known = Set(active.map(\.id))
        return (active + records.map(\.run).filter { !known.contains($0.id) }).sorted {
            $0.id.rawValue > $1.id.rawValue
        }
    }

    private static let maxListedRuns = 1000

    /// Asks a run to stop; what was said so far is kept. A run that has ended stays as it is.
    public func cancel(_ id: RunID) async throws(RuntimeError) -> Run {
        guard let run = registry.find(id) else {
            let run = try await snapshot(of: id)
            if !run.status.isFinal, let peers {
                try await storing { () throws(StoreError) in try await peers.cancel(id) }
            }
            return run
        }
        run.cancellation.raise()
        return run.snapshot
    }

    /// Adds a message to a run at work: after the current tool calls, or when the agent would stop.
    public func queue(
        _ content: [ContentBlock], in id: RunID, steers: Bool
    ) async throws(RuntimeError) -> Run {
        guard let run = registry.find(id) else {
            let isOver = try await snapshot(of: id).status.isFinal
            throw RuntimeError(.conflict, isOver ? "The run has ended." : "Another server works on the run.")
        }
        let message = UserMessage(content: content, timestamp: environment.now())
        try run.enqueue(message, in: steers ? .steering : .followUp)
        return run.snapshot
    }
}

extension SessionTree {
    /// The tool calls at the end of a branch that have no result: their server died.
    fileprivate func danglingCalls(of leaf: EntryID?) -> [ToolCall] {
        var answered: Set<String> = []
        for place in branch(to: leaf).reversed() {
            let entry = entries[place]
            guard entry.role == .assistant || entry.role == .toolResult || entry.role == .user,
                let json = entry.messageJSON.flatMap({ try? JSONValue(parsing: $0) }), let message = Message(json: json)
            else { continue }
            switch message {
            case .toolResult(let result): answered.insert(result.toolCallID)
            case .assistant(let assistant):
                guard assistant.stopReason != .error, assistant.stopReason != .aborted else { return [] }
                return assistant.toolCalls.filter { !answered.contains($0.id) }
            case .user, .system: return []
            }
        }
        return []
    }
}

extension ToolCall {
    fileprivate func interrupted(at time: Timestamp) -> ToolResultMessage {
        ToolResultMessage(
            toolCallID: id, toolName: name,
            content: [.text("The tool call was interrupted: its outcome is unknown. Look before you run it again.")],
            isError: true, timestamp: time)
    }
}

extension EventJournal {
    /// Returns when the run has ended and said so.
    func waitForEnd() async {
        var number = 0
        while let records = try? await events(after: number), let last = records.last { number = last.number }
    }
}
