internal import Logging
internal import TauCore

/// What a run does about model calls that failed: make room, ask another model, try again, or give up.
struct Recovery {
    enum Decision {
        case tryAgain
        case giveUp
        case cancelled
    }

    private let gates: ModelGates
    private var compaction: RunCompaction
    /// Tries since the last answer.
    private var attempts = 0

    init(gates: ModelGates) {
        self.gates = gates
        compaction = RunCompaction()
    }

    /// Before a model call: makes room if the context leaves too little for the answer.
    mutating func prepare(_ context: RunContext) async throws(StoreError) {
        try await compaction.makeRoom(context)
    }

    /// The model has answered, or the user has spoken.
    mutating func noteProgress() {
        attempts = 0
        compaction.noteProgress()
    }

    /// After a failed call whose answer stands in the entry `failed`; may put another model into the context, and waits
    /// as long as it must.
    mutating func recover(
        from error: ProviderError, failed: Entry, _ context: inout RunContext
    ) async throws(StoreError) -> Decision {
        guard error.code != .cancelled, !Task.isCancelled else { return .cancelled }
        if error.code == .contextTooLong {
            return try await compaction.recoverFromOverflow(context, failed: failed) ? .tryAgain : .giveUp
        }
        guard error.isOutage else { return .giveUp }
        if let next = nextRoute(context) {
            let from = context.route.model.reference
            context.route = next
            context.run.update { $0.model = next.model.reference }
            context.publish(.modelFallback(from: from, to: next.model.reference, reason: error.message))
            context.logger.notice(
                "another model takes over",
                metadata: ["from": "\(from)", "to": "\(next.model.reference)", "reason": "\(error.message)"])
            attempts = 0
            try await leaveOut(failed, context)
            return .tryAgain
        }
        attempts += 1
        Measurements.modelRetries.add(1, context.route.model.reference.description)
        let delay = context.limits.retry.delay(before: attempts, after: error, spread: context.environment.spread())
        guard let delay else { return .giveUp }
        context.publish(.retry(attempt: attempts, delayMilliseconds: delay, reason: error.message))
        context.logger.info(
            "a model call is made again",
            metadata: ["attempt": "\(attempts)", "delayMs": "\(delay)", "reason": "\(error.message)"])
        do {
            try await context.environment.clock.sleep(for: .milliseconds(delay))
        } catch {
            return .cancelled
        }
        try await leaveOut(failed, context)
        return .tryAgain
    }

    /// The first of the further routes whose provider lets calls through.
    private func nextRoute(_ context: RunContext) -> ModelRoute? {
        let fallbacks = context.route.fallbacks
        guard let place = fallbacks.firstIndex(where: { gates.isPassable($0.provider) }) else { return nil }
        var route = fallbacks[place]
        route.fallbacks = Array(fallbacks[(place + 1)...])
        return route
    }

    /// The failed answer stays in the session; no context from here on has it.
    private func leaveOut(_ failed: Entry, _ context: RunContext) async throws(StoreError) {
        try await context.append([.contextEdit(ContextEdit(target: failed.id, replacement: nil))])
    }
}
