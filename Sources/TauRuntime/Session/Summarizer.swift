internal import TauCore

/// Has a model summarise: through the provider as any other call, without tools.
struct Summarizer: Sendable {
    let model: ModelDescription
    let provider: any ModelProvider
    let settings: CompactionSettings
    private let retry: RetryPolicy
    let environment: RuntimeEnvironment

    init(
        model: ModelDescription, provider: any ModelProvider, limits: RuntimeLimits, environment: RuntimeEnvironment
    ) {
        self.model = model
        self.provider = provider
        settings = limits.compaction.fitted(to: model.contextWindow)
        retry = limits.retry
        self.environment = environment
    }

    /// How often the pieces of a history are made smaller when the model refuses them.
    private static let maxHalvings = 4
    /// Tokens of the summary of a branch that was left.
    private static let branchSummaryTokens = 2048

    /// The compaction that the plan asks for. `usage` grows with every call, also where a later one fails.
    func compaction(
        _ plan: CompactionPlan, instructions: String?, usage: inout Usage
    ) async throws(ProviderError) -> Compaction {
        var pieceTokens = pieceTokens
        for _ in 0..<Self.maxHalvings {
            do throws(ProviderError) {
                return try await compaction(plan, instructions, ofPieces: pieceTokens, &usage)
            } catch {
                // Tokens are estimated, and the window may be smaller than the catalogue says.
                guard error.code == .contextTooLong else { throw error }
                pieceTokens /= 2
            }
        }
        return try await compaction(plan, instructions, ofPieces: pieceTokens, &usage)
    }

    private func compaction(
        _ plan: CompactionPlan, _ instructions: String?, ofPieces pieceTokens: Int, _ usage: inout Usage
    ) async throws(ProviderError) -> Compaction {
        var parts: [String] = []
        // A history that is longer than the window, as of a model with a larger one, is summarised piece by piece.
        var history = plan.previousSummary
        for piece in Transcript(plan.summarized).pieces(ofTokens: pieceTokens) {
            let prompt = SummaryPrompt.history(piece, previous: history, instructions: instructions)
            history = try await answer(to: prompt, maxTokens: settings.reserveTokens / 5 * 4, &usage)
        }
        if let history { parts.append(history) }
        // One after the other: a small local server has one slot.
        var beginnings: [String] = []
        for piece in Transcript(plan.turnPrefix).pieces(ofTokens: pieceTokens) {
            beginnings.append(try await answer(to: .turnPrefix(piece), maxTokens: settings.reserveTokens / 2, &usage))
        }
        if !beginnings.isEmpty {
            let beginning = beginnings.joined(separator: "\n\n")
            parts.append("**The turn that goes on below began so:**\n\n\(beginning)")
        }
        return Compaction(
            summary: parts.joined(separator: "\n\n---\n\n") + plan.files.text,
            firstKeptEntryID: plan.firstKeptEntryID, tokensBefore: plan.tokensBefore, systemMessage: plan.systemMessage,
            details: plan.files.details, usage: usage)
    }

    /// What one call takes beside the prompt, an earlier summary and the new one.
    private var pieceTokens: Int { max(model.contextWindow - 2 * settings.reserveTokens, model.contextWindow / 2) }

    func branchSummary(
        _ plan: BranchSummaryPlan, instructions: String?
    ) async throws(ProviderError) -> BranchSummary {
        var usage = Usage()
        let text = try await answer(
            to: .branch(plan.items, instructions: instructions), maxTokens: Self.branchSummaryTokens, &usage)
        return BranchSummary(
            fromID: plan.fromID.rawValue, summary: text + plan.files.text, details: plan.files.details, usage: usage)
    }

    private func answer(
        to prompt: SummaryPrompt, maxTokens: Int, _ usage: inout Usage
    ) async throws(ProviderError) -> String {
        let time = environment.now()
        let request = ModelRequest(
            model: model, systemPrompt: SummaryPrompt.system,
            messages: [.user(UserMessage(content: [.text(prompt.text)], timestamp: time))],
            thinkingLevel: model.supportsReasoning ? .high : .off,
            maxOutputTokens: max(1, min(maxTokens, model.maxOutputTokens)),
            // Not the session's: its prompt cache is of no use here.
            sessionID: environment.identifiers.sessionID(at: time))
        var attempt = 0
        while true {
            do throws(ProviderError) {
                return try await answer(to: request, &usage)
            } catch {
                attempt += 1
                guard let delay = retry.delay(before: attempt, after: error, spread: environment.spread()) else {
                    throw error
                }
                try? await environment.clock.sleep(for: .milliseconds(delay))
                guard !Task.isCancelled else { throw ProviderError(.cancelled, "The summary was cancelled.") }
            }
        }
    }

    private func answer(to request: ModelRequest, _ usage: inout Usage) async throws(ProviderError) -> String {
        var assembler = MessageAssembler()
        defer { usage += assembler.usage }
        _ = try await provider.stream(request) { assembler.apply($0) }
        let text = assembler.content.compactMap(\.text).joined(separator: "\n")
        guard text.contains(where: { !$0.isWhitespace }) else {
            throw ProviderError(.refused, "the model answered without a summary")
        }
        return text
    }
}
