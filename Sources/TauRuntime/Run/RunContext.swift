internal import Logging
internal import ServiceContextModule
internal import TauCore

/// What the parts of one run share.
struct RunContext: Sendable {
    let run: ActiveRun
    let session: LiveSession
    /// Who asks now: the chosen model, or one that has taken over.
    var route: ModelRoute
    let tools: any ToolCatalog
    /// The tools that the model is told of.
    let definitions: [ToolDefinition]
    /// By tool name, for checking calls.
    let schemas: [String: ArgumentSchema]
    let thinkingLevel: ThinkingLevel
    /// For sessions without a prompt of their own.
    let defaultSystemPrompt: String?
    let maxTurns: Int
    /// US dollars.
    let maxCost: Double?
    /// Of who has asked; nil where it is not known.
    let role: Role?
    let limits: RuntimeLimits
    /// What is set aside for the first model call; nil where there are no budgets, or the run goes on after a restart.
    let early: EarlyHold?
    let environment: RuntimeEnvironment
    let runs: any RunStore
    let logger: Logger
    /// The request that has started the run, for its traces and logs; nil for a run that goes on after a restart.
    let origin: ServiceContext?

    /// Writes down what was decided without a person.
    func audit(_ action: String, _ call: ToolCall, outcome: String) async throws(StoreError) {
        guard let log = environment.audit else { return }
        var event = AuditEvent(action: action, target: call.id, outcome: outcome, time: environment.now())
        event.details = [
            ("tool", call.name), ("run", run.id.rawValue), ("tenantId", session.owner.tenantID),
            ("userId", session.owner.userID),
        ]
        try await log.write(event)
    }

    func publish(_ event: RunEvent) { run.journal.publish(event) }

    /// Publishes the message's end, makes it an entry, and tells of the entry once it is durable.
    @discardableResult
    func append(_ message: Message) async throws(StoreError) -> Entry {
        publish(.messageEnd(message))
        return try await append([.message(message)])[0]
    }

    /// The same for the run's last answer: the run's end is durable with it.
    func appendLast(_ answer: AssistantMessage) async throws(StoreError) {
        publish(.messageEnd(.assistant(answer)))
        let finishedAt = environment.now()
        let ended = { (entries: [Entry]) in
            run.record(after: entries) { state in
                state.status = .completed
                state.finishedAt = finishedAt
            }
        }
        let entries = try await session.append([.message(.assistant(answer))], run: ended)
        let record = ended(entries)
        runs.noteCarried(record)
        run.noteEnd(record.run)
        tell(of: entries)
    }

    /// Makes entries, and tells of them once they are durable.
    @discardableResult
    func append(_ contents: [NewEntry]) async throws(StoreError) -> [Entry] {
        let entries = try await session.append(contents)
        tell(of: entries)
        return entries
    }

    private func tell(of entries: [Entry]) {
        for entry in entries {
            run.update { $0.leafID = entry.id }
            publish(.entryAppended(entry))
        }
    }

    /// The tokens that the next answer may have.
    func answerBound(for context: ModelContext) -> AnswerBound {
        guard let maxCost else { return .modelLimit }
        guard let prices = route.model.prices, let spent = run.snapshot.usage.cost else { return .exhausted }
        let (counted, estimated) = TokenEstimate.parts(of: context)
        let offered = definitions.reduce(0) { $0 + $1.parameters.text.utf8.count + $1.description.utf8.count }
        // An estimate may be wrong by half; what was counted is what it is.
        let prompt = counted + 2 * (estimated + (offered + (defaultSystemPrompt?.utf8.count ?? 0)) / 4)
        guard let tokens = prices.answerTokens(for: maxCost - spent.total, promptTokens: prompt) else {
            return .modelLimit
        }
        return tokens < 1 ? .exhausted : .tokens(tokens)
    }

    enum AnswerBound: Equatable {
        case modelLimit
        case tokens(Int)
        /// The run's money does not suffice for another call.
        case exhausted
    }
}

/// A model, who speaks to it, and who takes over from it.
struct ModelRoute: Sendable {
    var model: ModelDescription
    /// Behind its gate.
    var provider: any ModelProvider
    /// The routes after this one, in their order.
    var fallbacks: [ModelRoute] = []
}
