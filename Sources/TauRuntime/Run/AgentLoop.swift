internal import TauCore

/// The agent at work on one message: turn after turn, until it has nothing more to do.
struct AgentLoop {
    private var context: RunContext
    private var recovery: Recovery
    private var messages: [Message] = []
    /// Answers so far.
    private var turnCount = 0
    private var turnStart = ContinuousClock.now

    init(context: RunContext, gates: ModelGates) {
        self.context = context
        recovery = Recovery(gates: gates)
    }

    /// Where the work begins.
    enum Start: Sendable {
        /// With a message that is already an entry of the session.
        case message(UserMessage, [Entry])
        /// With the calls of an answer that waited for approvals when its server stopped.
        case calls(AssistantMessage, RunRecord.Suspension)
    }

    /// How the loop ended.
    enum Outcome {
        case completed
        case cancelled
        /// The reason stands on the run.
        case failed
        case turnLimit
        case costLimit
        /// The server stops while the run waits for an approval: it is not over.
        case suspended
    }

    /// Works until the agent stops. A model's failure ends it, it is never thrown.
    mutating func run(from start: Start) async throws(StoreError) -> Outcome {
        let outcome: Outcome
        switch start {
        case .message(let prompt, let entries):
            context.publish(.agentStart)
            context.publish(.turnStart)
            context.publish(.messageStart(.user(prompt)))
            context.publish(.messageEnd(.user(prompt)))
            for entry in entries { context.publish(.entryAppended(entry)) }
            messages = [.user(prompt)]
            outcome = try await turns()
        case .calls(let answer, let suspension):
            turnCount = suspension.turns
            if let early = try await finish(answer, resumed: suspension) {
                outcome = early
            } else {
                outcome = try await turns()
            }
        }
        if case .suspended = outcome { return outcome }
        context.publish(.agentEnd(messages))
        return outcome
    }

    private mutating func turns() async throws(StoreError) -> Outcome {
        while true {
            let outcome = try await traced("turn") { _ throws(StoreError) in try await turn() }
            if let outcome { return outcome }
        }
    }

    /// Nil: another turn, which has been told.
    private mutating func turn() async throws(StoreError) -> Outcome? {
        turnStart = .now
        try await recovery.prepare(context)
        var turn = ModelTurn(context: context)
        switch context.answerBound(for: context.session.context()) {
        case .modelLimit: break
        case .tokens(let tokens): turn.maxOutputTokens = tokens
        case .exhausted: return .costLimit
        }
        let (answer, failure) = await turn.run()
        if failure?.wasNotAsked == true { return .failed }
        if failure == nil, answer.toolCalls.isEmpty, !Task.isCancelled { return try await conclude(answer) }
        let entry = try await context.append(.assistant(answer))
        messages.append(.assistant(answer))
        guard let failure else { return try await finish(answer, resumed: nil) }
        context.publish(.turnEnd(message: .assistant(answer), results: []))
        switch try await recovery.recover(from: failure, failed: entry, &context) {
        case .cancelled: return .cancelled
        case .giveUp: return .failed
        case .tryAgain: break
        }
        context.run.update { $0.failure = nil }
        context.publish(.turnStart)
        return nil
    }

    /// Goes on with a message that waits, which is another turn; where none does, the answer is the last one.
    private mutating func conclude(_ answer: AssistantMessage) async throws(StoreError) -> Outcome? {
        let queued = context.run.takeNextOrClose()
        if queued == nil { try await context.appendLast(answer) } else { try await context.append(.assistant(answer)) }
        messages.append(.assistant(answer))
        endTurn(answer, [])
        guard let queued else { return .completed }
        return try await goOn(with: queued)
    }

    /// Runs the answer's calls and sees what is next; nil: another turn, which has been told.
    private mutating func finish(
        _ answer: AssistantMessage, resumed: RunRecord.Suspension?
    ) async throws(StoreError) -> Outcome? {
        guard let results = try await toolResults(for: answer, resumed) else { return .suspended }
        endTurn(answer, results)
        if Task.isCancelled { return .cancelled }
        if context.run.record.run.failure != nil { return .failed }
        return try await goOn(with: context.run.takeSteering())
    }

    private mutating func endTurn(_ answer: AssistantMessage, _ results: [ToolResultMessage]) {
        Measurements.turnDuration.observe(since: turnStart)
        messages += results.map { .toolResult($0) }
        context.publish(.turnEnd(message: .assistant(answer), results: results))
        turnCount += 1
        recovery.noteProgress()
    }

    private mutating func goOn(with queued: UserMessage?) async throws(StoreError) -> Outcome? {
        guard turnCount < context.maxTurns else { return .turnLimit }
        context.publish(.turnStart)
        if let queued {
            context.publish(.messageStart(.user(queued)))
            try await context.append(.user(queued))
            messages.append(.user(queued))
        }
        return nil
    }

    private func toolResults(
        for answer: AssistantMessage, _ resumed: RunRecord.Suspension?
    ) async throws(StoreError) -> [ToolResultMessage]? {
        let calls = answer.toolCalls
        guard !calls.isEmpty else { return [] }
        let batch = ToolBatch(context: context, calls: calls, resumed: resumed, turns: turnCount)
        guard answer.stopReason != .length else {
            // The last call's arguments may be cut off, and nobody can tell which were meant to follow.
            return try await batch.failAll(
                ToolFailure(.failed, "The tool was not run: the answer was cut off at the model's output limit"))
        }
        return try await batch.run()
    }
}
