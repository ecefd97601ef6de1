internal import Logging
internal import TauCore

/// Compactions in the course of a run: before the context gets too long for the model, and after it was.
struct RunCompaction {
    private let context: RunContext
    /// A model that could not summarise is not asked again in this run.
    private var hasFailed = false
    /// Set by an overflow until the model answers: a second one in a row ends the run.
    private var hasOverflowed = false

    init(context: RunContext) { self.context = context }

    /// Before a model call: makes room if the context leaves too little for the answer.
    mutating func makeRoom() async throws(StoreError) {
        let settings = context.limits.compaction
        guard settings.isEnabled, !hasFailed, !Task.isCancelled else { return }
        let tokens = TokenEstimate.tokens(of: context.session.context())
        guard settings.isDue(tokens: tokens, contextWindow: context.model.contextWindow) else { return }
        hasFailed = try await !compact(reason: .threshold, [])
    }

    /// After the model has refused the context as too long: true if the same turn can be tried again.
    mutating func recoverFromOverflow() async throws(StoreError) -> Bool {
        guard context.limits.compaction.isEnabled, !hasOverflowed, !Task.isCancelled else { return false }
        hasOverflowed = true
        // The failed answer stays in the session; from here on no context has it.
        let failed = context.session.read { $0.leafID }
        return try await compact(
            reason: .overflow, failed.map { [.contextEdit(ContextEdit(target: $0, replacement: nil))] } ?? [])
    }

    /// The model has answered, or the user has spoken: the next overflow is another one.
    mutating func noteProgress() { hasOverflowed = false }

    private func compact(reason: CompactionReason, _ further: [NewEntry]) async throws(StoreError) -> Bool {
        let keep = context.limits.compaction.fitted(to: context.model.contextWindow).keepRecentTokens
        // What does not fit must get shorter, also where little more than the recent messages is there.
        let choices = reason == .overflow ? [keep, keep / 4, 1] : [keep]
        let plan = context.session.read { tree in
            choices.lazy.compactMap { tree.compactionPlan(at: tree.leafID, keepRecentTokens: $0) }.first
        }
        guard let plan else { return false }
        context.publish(.compactionStart(reason))
        let summarizer = Summarizer(
            model: context.model, provider: context.provider, limits: context.limits, environment: context.environment)
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
        let entries = try await context.session.append([.compaction(compaction)] + further)
        for entry in entries {
            context.run.update { $0.leafID = entry.id }
            context.publish(.entryAppended(entry))
        }
        context.publish(.compactionEnd(entries[0], failure: nil))
        return true
    }
}
