internal import TauCore

/// One model call: the context of the branch goes out, events come back, and the answer is put together.
struct ModelTurn {
    let context: RunContext

    /// The answer as far as it came. A failure is part of it: `stopReason` is `error` or `aborted` then.
    func run() async -> (answer: AssistantMessage, isOverflow: Bool) {
        let request = makeRequest()
        var assembler = MessageAssembler()
        var message = AssistantMessage(
            content: [], api: context.model.api, model: context.model.reference, stopReason: .stop,
            timestamp: context.environment.now())
        var hasStarted = false
        var isOverflow = false
        func start() {
            guard !hasStarted else { return }
            hasStarted = true
            context.publish(.messageStart(.assistant(message)))
        }
        do throws(ProviderError) {
            let reply = try await context.provider.stream(request) { event in
                assembler.apply(event)
                if case .usage = event { return }
                start()
                context.publish(.messageUpdate(event, toolCall: Self.finishedCall(event, assembler)))
            }
            message.stopReason = reply.stopReason
            message.responseID = reply.responseID
        } catch {
            let isAbort = error.code == .cancelled
            isOverflow = error.code == .contextTooLong
            message.stopReason = isAbort ? .aborted : .error
            message.errorMessage = isAbort ? "Request was aborted" : error.message
            context.run.update { $0.failure = isAbort ? nil : Run.Failure(error) }
        }
        start()
        message.content = assembler.content
        message.usage = assembler.usage
        context.run.update { $0.usage += message.usage }
        return (message, isOverflow)
    }

    private func makeRequest() -> ModelRequest {
        let conversation = Conversation(context.session.context())
        return ModelRequest(
            model: context.model, systemPrompt: conversation.systemPrompt ?? context.defaultSystemPrompt,
            messages: conversation.messages, tools: context.definitions, thinkingLevel: context.thinkingLevel,
            sessionID: context.session.id)
    }

    private static func finishedCall(_ event: ModelEvent, _ assembler: MessageAssembler) -> ToolCall? {
        if case .toolCallEnd(let index, _) = event { assembler.toolCall(at: index) } else { nil }
    }
}

extension Run.Failure {
    /// A model's failure as the run shows it.
    init(_ error: ProviderError) {
        let code =
            switch error.code {
            case .rateLimited, .overloaded, .network, .timedOut, .malformed, .unauthorized, .quotaExceeded, .cancelled:
                "model_unavailable"
            case .contextTooLong: "context_too_long"
            case .refused: "model_refused"
            case .badRequest: "model_rejected_request"
            }
        self.init(code: code, message: error.message)
    }
}
