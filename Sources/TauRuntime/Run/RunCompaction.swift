internal import Logging
internal import TauCore

/// Compactions in the course of a run: before the context gets too long for the model, and after it was.
struct RunCompaction {
    /// A model that could not summarise is not asked again in this run.
    private var hasFailed = false
    /// Set by an overflow until the model answers: a second one in a row ends the run.
    private var hasOverflowed = false

    /// Before a model call: makes room if the context leaves too little for the answer.
    mutating func makeRoom(_ context: RunContext) async throws(StoreError) {
        let settings = context.limits.compaction
        guard settings.isEnabled, !hasFailed, !Task.isCancelled else { return }
        let tokens = TokenEstimate.tokens(of: context.session.context())
        guard settings.isDue(tokens: tokens, contextWindow: context.route.model.contextWindow) else { return }
        hasFailed = try await !compact(context, reason: .threshold, [])
    }

    /// After the model has refused the context as too long: true if the same turn can be tried again.
    mutating func recoverFromOverflow(_ context: RunContext, failed: Entry) async throws(StoreError) -> Bool {
        guard context.limits.compaction.isEnabled, !hasOverflowed, !Task.isCancelled else { return false }
        hasOverflowed = true
        // The failed answer stays in the session; from here on no context has it.
        return try await compact(
            context, reason: .overflow, [.contextEdit(ContextEdit(target: failed.id, replacement: nil))])
    }

    /// The model has answered, or the user has spoken: the next overflow is another one.
    mutating func noteProgress() { hasOverflowed = false }

    private func compact(
        _ context: RunContext, reason: CompactionReason, _ further: [NewEntry]
    ) async throws(StoreError) -> Bool {
        let keep = context.limits.compaction.fitted(to: context.route.model.contextWindow).keepRecentTokens
        // What does not fit must get shorter, also where little more than the recent messages is there.
        let choices = reason == .overflow ? [keep, keep / 4, 1] : [keep]
        let plan = context.session.read { tree in
            choices.lazy.compactMap { tree.compactionPlan(at: tree.leafID, keepRecentTokens: $0) }.first
        }
        guard let plan else { return false }
        context.publish(.compactionStart(reason))
        let summarizer = Summarizer(
            model: context.route.model, provider: context.route.provider, limits: context.limits,
            environment: context.environment)
        let compaction: Compaction
        var usage = Usage()
        defer { context.run.update { $0.usage += usage } }
        do throws(ProviderError) {
            compaction = try await summarizer.compaction(plan, instructions: nil, usage: &usage)
        } catch {
            context.logger.warning("a compaction failed", metadata: ["reason": "\(error)"])
            context.publish(.compactionEnd(nil, failure: error.message))
            return false
        }
        let entries = try await context.append([.compaction(compaction)] + further)
        context.publish(.compactionEnd(entries[0], failure: nil))
        return true
    }
}
