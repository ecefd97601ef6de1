internal import TauCore
internal import Tracing

/// One model call: the context of the branch goes out, events come back, and the answer is put together.
struct ModelTurn {
    let context: RunContext
    /// Tokens of the answer; nil for the model's own limit.
    var maxOutputTokens: Int?

    /// The answer as far as it came, and what went wrong: `stopReason` is `error` or `aborted` then.
    func run() async -> (answer: AssistantMessage, failure: ProviderError?) {
        let model = context.route.model
        return await traced("chat \(model.reference.id)", kind: .client) { span in
            let request = makeRequest()
            let turn = await call(request)
            if span.isRecording { describe(span, request, turn.answer, turn.failure) }
            return turn
        }
    }

    private func describe(
        _ span: any Span, _ request: ModelRequest, _ answer: AssistantMessage, _ failure: ProviderError?
    ) {
        var attributes: [TraceAttribute] = [
            .name(SpanName.operation, "chat"), .name(SpanName.provider, answer.model.provider),
            .name(SpanName.requestModel, answer.model.id),
            .text(SpanName.conversation, context.session.id.rawValue),
            .names(SpanName.finishReasons, [answer.stopReason.rawValue]),
            // Here, other than in sessions, the input has all of it.
            .integer(SpanName.inputTokens, answer.usage.input + answer.usage.cacheRead + answer.usage.cacheWrite),
            .integer(SpanName.outputTokens, answer.usage.output),
            .integer(SpanName.cacheReadTokens, answer.usage.cacheRead),
            .integer(SpanName.cacheWriteTokens, answer.usage.cacheWrite),
        ]
        if let maxTokens = request.maxOutputTokens { attributes.append(.integer(SpanName.maxTokens, maxTokens)) }
        if let id = answer.responseID { attributes.append(.text(SpanName.responseID, id)) }
        if context.limits.tracesContent {
            let maxBytes = context.limits.maxTracedContentBytes
            if let systemPrompt = request.systemPrompt {
                attributes.append(
                    .text(SpanName.systemPrompt, TracedContent.json(ofSystemPrompt: systemPrompt, maxBytes: maxBytes)))
            }
            attributes += [
                .text(SpanName.inputMessages, TracedContent.json(of: request.messages, maxBytes: maxBytes)),
                .text(SpanName.outputMessages, TracedContent.json(of: [.assistant(answer)], maxBytes: maxBytes)),
            ]
        }
        if let failure {
            attributes.append(.name(SpanName.errorType, failure.code.rawValue))
            span.setStatus(SpanStatus(code: .error, message: failure.message))
        }
        span.add(attributes)
    }

    private func call(_ request: ModelRequest) async -> (answer: AssistantMessage, failure: ProviderError?) {
        let model = context.route.model
        var assembler = MessageAssembler()
        var message = AssistantMessage(
            content: [], api: model.api, model: model.reference, stopReason: .stop,
            timestamp: context.environment.now())
        var hasStarted = false
        let name = model.reference.description
        let callStart = ContinuousClock.now
        func start() {
            guard !hasStarted else { return }
            hasStarted = true
            if !assembler.content.isEmpty { Measurements.firstToken.observe(since: callStart, name) }
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
        Measurements.modelDuration.observe(since: callStart, name)
        Measurements.modelCalls.add(1, name, failure?.code.rawValue ?? "success")
        start()
        message.content = assembler.content
        message.usage = assembler.usage
        // The server has counted nothing, so nobody knows what the call cost.
        if failure == nil, message.usage.totalTokens == 0 { message.usage.cost = nil }
        context.run.update { $0.usage += message.usage }
        count(message.usage, of: name)
        return (message, failure)
    }

    private func count(_ usage: Usage, of model: String) {
        for (kind, tokens) in [
            ("input", usage.input), ("output", usage.output), ("cache_read", usage.cacheRead),
            ("cache_write", usage.cacheWrite),
        ] where tokens > 0 {
            Measurements.modelTokens.add(tokens, model, kind)
        }
        if let cost = usage.cost?.total, cost > 0 { Measurements.modelCost.add(cost, model) }
    }

    private func makeRequest() -> ModelRequest {
        let (branch, conversation) = context.session.conversation()
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
