internal import TauCore

/// One model call: the context of the branch goes out, events come back, and the answer is put together.
struct ModelTurn {
    let context: RunContext
    /// Tokens of the answer; nil for the model's own limit.
    var maxOutputTokens: Int?

    /// The answer as far as it came, and what went wrong: `stopReason` is `error` or `aborted` then.
    func run() async -> (answer: AssistantMessage, failure: ProviderError?) {
        let request = makeRequest()
        let model = context.route.model
        var assembler = MessageAssembler()
        var message = AssistantMessage(
            content: [], api: model.api, model: model.reference, stopReason: .stop,
            timestamp: context.environment.now())
        var hasStarted = false
        func start() {
            guard !hasStarted else { return }
            hasStarted = true
            context.publish(.messageStart(.assistant(message)))
        }
        var failure: ProviderError?
        do throws(ProviderError) {
            let reply = try await context.route.provider.stream(request) { event in
                assembler.apply(event)
                if case .usage = event { return }
                start()
                context.publish(.messageUpdate(event, toolCall: Self.finishedCall(event, assembler)))
            }
            message.stopReason = reply.stopReason
            message.responseID = reply.responseID
        } catch {
            if error.wasNotAsked {
                // The run ends between two turns: there is no answer, not even a failed one.
                context.run.update { $0.failure = Run.Failure(error) }
                return (message, error)
            }
            let isAbort = error.code == .cancelled
            message.stopReason = isAbort ? .aborted : .error
            message.errorMessage = isAbort ? "Request was aborted" : error.message
            context.run.update { $0.failure = isAbort ? nil : Run.Failure(error) }
            failure = error
        }
        start()
        message.content = assembler.content
        message.usage = assembler.usage
        // The server has counted nothing, so nobody knows what the call cost.
        if failure == nil, message.usage.totalTokens == 0 { message.usage.cost = nil }
        context.run.update { $0.usage += message.usage }
        return (message, failure)
    }

    private func makeRequest() -> ModelRequest {
        let branch = context.session.context()
        let conversation = Conversation(branch)
        let model = context.route.model
        var bound = maxOutputTokens.map { min($0, model.maxOutputTokens) }
        if model.boundsAnswers {
            // Some servers refuse a bound that the window has no room for.
            let room = max(1, model.contextWindow - TokenEstimate.tokens(of: branch))
            bound = min(bound ?? model.maxOutputTokens, room)
        }
        return ModelRequest(
            model: model, systemPrompt: conversation.systemPrompt ?? context.defaultSystemPrompt,
            messages: conversation.messages, tools: context.definitions,
            thinkingLevel: model.supportsReasoning ? context.thinkingLevel : .off,
            maxOutputTokens: bound, sessionID: context.session.id)
    }

    private static func finishedCall(_ event: ModelEvent, _ assembler: MessageAssembler) -> ToolCall? {
        if case .toolCallEnd(let index, _) = event { assembler.toolCall(at: index) } else { nil }
    }
}

extension ProviderError {
    /// Whether the call was not made at all.
    var wasNotAsked: Bool { code == .budgetExceeded || code == .ledgerUnavailable }
}

extension Run.Failure {
    /// A model's failure as the run shows it.
    init(_ error: ProviderError) {
        let code =
            switch error.code {
            case .rateLimited, .overloaded, .network, .timedOut, .malformed, .unauthorized, .quotaExceeded, .cancelled:
                "model_unavailable"
            case .budgetExceeded: "budget_exceeded"
            case .ledgerUnavailable: "storage_unavailable"
            case .contextTooLong: "context_too_long"
            case .refused: "model_refused"
            case .badRequest: "model_rejected_request"
            }
        self.init(code: code, message: error.message)
    }
}
