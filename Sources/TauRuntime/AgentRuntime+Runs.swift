internal import Logging
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
    public var ifBusy: IfBusy

    public init(
        content: [ContentBlock], parentID: EntryID? = nil, model: ModelChoice = .session,
        thinkingLevel: ThinkingLevel? = nil, maxTurns: Int? = nil, ifBusy: IfBusy = .reject
    ) {
        self.content = content
        self.parentID = parentID
        self.model = model
        self.thinkingLevel = thinkingLevel
        self.maxTurns = maxTurns
        self.ifBusy = ifBusy
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
        do throws(RuntimeError) {
            return try await start(request, in: session)
        } catch {
            await sessions.leave(session)
            throw error
        }
    }

    private func start(_ request: RunRequest, in session: LiveSession) async throws(RuntimeError) -> ActiveRun {
        let time = environment.now()
        let runID = environment.identifiers.runID(at: time)
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
        let (leaf, settings, dangling) = session.read { tree in
            let leaf = request.parentID ?? tree.leafID
            return (leaf, tree.settings(of: leaf), tree.danglingCalls(of: leaf))
        }
        let model = try chooseModel(request.model, settings, prompt)
        guard let provider = models.provider(named: model.reference.provider) else {
            throw RuntimeError(
                .modelUnavailable, "Nobody speaks to \(model.reference): its provider is not configured.")
        }
        let level = request.thinkingLevel ?? ThinkingLevel(rawValue: settings.thinkingLevel) ?? .off

        var contents: [NewEntry] = dangling.map { .message(.toolResult($0.interrupted(at: prompt.timestamp))) }
        if settings.model != model.reference { contents.append(.modelChange(model.reference)) }
        if level.rawValue != settings.thinkingLevel { contents.append(.thinkingLevelChange(level)) }
        contents.append(.message(.user(prompt)))

        let run = ActiveRun(
            Run(
                id: runID, sessionID: session.id, status: .queued, createdAt: prompt.timestamp, model: model.reference,
                leafID: leaf, node: environment.node), limits: limits)
        guard registry.add(run) else {
            throw RuntimeError(.overloaded, "\(limits.maxActiveRuns) runs are at work on this server already.")
        }
        do throws(RuntimeError) {
            let entries = try await append(contents, to: session, at: request.parentID.map { .some($0) })
            run.update { $0.leafID = entries.last?.id }
            let context = makeContext(run, session, model, provider, settings, level, request.maxTurns)
            try submit(
                RunSupervisor.Job(context: context, prompt: prompt, entries: entries) { [self] failure in
                    await finish(run, session, failure)
                })
            return run
        } catch {
            registry.finish(run)
            throw error
        }
    }

    private func submit(_ job: RunSupervisor.Job) throws(RuntimeError) {
        guard supervisor.submit(job) else {
            throw RuntimeError(.draining, "The server is shutting down; the message is saved, but not answered.")
        }
    }

    private func makeContext(
        _ run: ActiveRun, _ session: LiveSession, _ model: ModelDescription, _ provider: any ModelProvider,
        _ settings: BranchSettings, _ level: ThinkingLevel, _ maxTurns: Int?
    ) -> RunContext {
        var logger = environment.logger
        logger[metadataKey: "session"] = "\(session.id)"
        logger[metadataKey: "run"] = "\(run.id)"
        let definitions = tools.listings.filter { listing in
            listing.unavailable == nil && listing.policy != .deny
                && settings.activeToolNames?.contains(listing.definition.name) != false
        }
        return RunContext(
            run: run, session: session, model: model, provider: provider, tools: tools,
            definitions: definitions.map(\.definition), thinkingLevel: model.supportsReasoning ? level : .off,
            defaultSystemPrompt: defaultSystemPrompt, maxTurns: min(maxTurns ?? limits.maxTurns, limits.maxTurns),
            limits: limits, environment: environment, logger: logger)
    }

    private func finish(_ run: ActiveRun, _ session: LiveSession, _ failure: StoreError?) async {
        session.release(run.id)
        registry.finish(run)
        if failure != nil { await sessions.discard(session) }
        await sessions.leave(session)
    }

    // MARK: Models and tools

    /// The model that a reference names, which must exist and be usable.
    func resolve(_ reference: ModelReference) throws(RuntimeError) -> ModelDescription {
        guard let model = models.model(reference) else {
            throw RuntimeError(
                .badRequest, "There is no model \(reference). GET /models lists what there is.",
                details: [.init(path: "model", message: "unknown model \(reference)")])
        }
        return model
    }

    func chooseModel(
        _ choice: ModelChoice, _ settings: BranchSettings, _ prompt: UserMessage
    ) throws(RuntimeError) -> ModelDescription {
        switch choice {
        case .named(let reference): return try resolve(reference)
        case .session:
            // A session that comes from elsewhere may name a model that is not to be had here.
            if let known = settings.model.flatMap(models.model), models.provider(named: known.reference.provider) != nil
            {
                return known
            }
        case .automatic: break
        }
        guard let model = models.automaticChoice(for: prompt) else {
            throw RuntimeError(.modelUnavailable, "No model is configured.")
        }
        return model
    }

    func checkTools(_ names: [String]) throws(RuntimeError) -> [String] {
        let known = Set(tools.listings.map(\.definition.name))
        let unknown = names.enumerated().filter { !known.contains($0.element) }
        guard unknown.isEmpty else {
            throw RuntimeError(
                .badRequest, "Unknown tools: \(unknown.map(\.element).joined(separator: ", ")).",
                details: unknown.map { .init(path: "tools.\($0.offset)", message: "there is no tool \($0.element)") })
        }
        return names
    }

    // MARK: Runs

    public func run(_ id: RunID) throws(RuntimeError) -> ActiveRun {
        guard let run = registry.find(id) else { throw RuntimeError(.notFound, "There is no such run.") }
        return run
    }

    /// The session's runs that this server remembers, newest first.
    public func runs(of id: SessionID) async throws(RuntimeError) -> [Run] {
        _ = try await session(id)
        return registry.runs(of: id).map(\.snapshot)
    }

    /// Asks a run to stop; what was said so far is kept. A run that has ended stays as it is.
    public func cancel(_ id: RunID) throws(RuntimeError) -> Run {
        let run = try run(id)
        run.cancellation.raise()
        return run.snapshot
    }

    /// Adds a message to a run at work: after the current tool calls, or when the agent would stop.
    public func queue(
        _ content: [ContentBlock], in id: RunID, steers: Bool
    ) throws(RuntimeError) -> Run {
        let run = try run(id)
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
