internal import TauCore

/// The agent at work on one message: turn after turn, until it has nothing more to do.
struct AgentLoop {
    let context: RunContext

    /// How the loop ended.
    enum Outcome {
        case completed
        case cancelled
        /// The reason stands on the run.
        case failed
        case turnLimit
    }

    /// Works on a message that is already an entry of the session. A model's failure ends it, it is never thrown.
    func run(prompt: UserMessage, entries: [Entry]) async throws(StoreError) -> Outcome {
        context.publish(.agentStart)
        context.publish(.turnStart)
        context.publish(.messageStart(.user(prompt)))
        context.publish(.messageEnd(.user(prompt)))
        for entry in entries { context.publish(.entryAppended(entry)) }
        var messages: [Message] = [.user(prompt)]
        let outcome = try await turns(&messages)
        context.publish(.agentEnd(messages))
        return outcome
    }

    private func turns(_ messages: inout [Message]) async throws(StoreError) -> Outcome {
        var count = 0
        var compaction = RunCompaction(context: context)
        while true {
            count += 1
            try await compaction.makeRoom()
            let (answer, isOverflow) = await ModelTurn(context: context).run()
            try await context.append(.assistant(answer))
            messages.append(.assistant(answer))

            let results = try await toolResults(for: answer)
            messages += results.map { .toolResult($0) }
            context.publish(.turnEnd(message: .assistant(answer), results: results))

            switch answer.stopReason {
            case .error where isOverflow:
                guard try await compaction.recoverFromOverflow() else { return .failed }
                guard count < context.maxTurns else { return .turnLimit }
                context.run.update { $0.failure = nil }
                context.publish(.turnStart)
                continue
            case .error: return .failed
            case .aborted: return .cancelled
            case .stop, .length, .toolUse: compaction.noteProgress()
            }
            if Task.isCancelled { return .cancelled }
            let needsAnswer = !results.isEmpty
            let queued = needsAnswer ? context.run.takeSteering() : context.run.takeNextOrClose()
            if queued == nil, !needsAnswer { return .completed }
            guard count < context.maxTurns else { return .turnLimit }
            context.publish(.turnStart)
            if let queued {
                context.publish(.messageStart(.user(queued)))
                try await context.append(.user(queued))
                messages.append(.user(queued))
            }
        }
    }

    private func toolResults(for answer: AssistantMessage) async throws(StoreError) -> [ToolResultMessage] {
        let calls = answer.toolCalls
        guard !calls.isEmpty, answer.stopReason != .error, answer.stopReason != .aborted else { return [] }
        let batch = ToolBatch(context: context, calls: calls)
        guard answer.stopReason != .length else {
            // The last call's arguments may be cut off, and nobody can tell which were meant to follow.
            return try await batch.failAll(
                ToolFailure(.failed, "The tool was not run: the answer was cut off at the model's output limit"))
        }
        return try await batch.run()
    }
}
