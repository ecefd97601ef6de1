internal import TauCore
internal import TauWire

/// Reads the chunks of a streamed Chat Completions answer.
struct ChatAnswer: AnswerDecoder {
    private enum OpenBlock {
        case none
        case text(index: Int)
        case thinking(index: Int, field: String)
    }

    private let prices: Prices?
    private(set) var isComplete = false
    private var responseID: String?
    private var finishReason: String?
    private var openBlock = OpenBlock.none
    private var calls = ChatToolCalls()
    private var nextIndex = 0

    init(prices: Prices?) { self.prices = prices }

    /// Some servers leave `[DONE]` out.
    var canFinish: Bool { isComplete || finishReason != nil }

    mutating func decode(_ event: ServerSentEvent, to sink: (ModelEvent) -> Void) throws(ProviderError) {
        if event.data.elementsEqual("[DONE]".utf8) {
            isComplete = true
            return
        }
        let chunk = try Self.object(event)
        if let error = ErrorAnswer.error(inStream: chunk) { throw error }
        responseID = responseID ?? chunk["id"]?.nonEmptyString
        // More than one choice is never asked for; a stray one would mix two answers.
        let choice = chunk["choices"]?.array?.first { ($0["index"]?.integer ?? 0) == 0 }
        for usage in [chunk["usage"], choice?["usage"]] where usage?.object != nil {
            sink(.usage(usage.map(counted) ?? Usage()))
            break
        }
        guard let choice else { return }
        if let reason = choice["finish_reason"]?.nonEmptyString { finishReason = reason }
        guard let delta = choice["delta"] else { return }
        for field in ChatRequest.reasoningFields {
            guard let text = delta[field]?.nonEmptyString else { continue }
            appendThinking(text, field: field, to: sink)
            break
        }
        if let text = delta["content"]?.nonEmptyString { appendText(text, to: sink) }
        for call in delta["tool_calls"]?.array ?? [] {
            closeBlock(to: sink)
            calls.append(call, nextIndex: &nextIndex, responseID: responseID, to: sink)
        }
    }

    mutating func finish(to sink: (ModelEvent) -> Void) throws(ProviderError) -> ModelReply {
        guard canFinish else { throw ProviderError.brokenStream("its end mark") }
        let reason: StopReason
        switch finishReason {
        case nil, "stop", "end": reason = calls.isEmpty ? .stop : .toolUse
        case "tool_calls", "function_call": reason = calls.isEmpty ? .stop : .toolUse
        case "length", "model_length": reason = .length
        case "insufficient_system_resource":
            throw ProviderError(.overloaded, "The model server ran out of resources in the middle of the answer.")
        case "content_filter": throw ProviderError.refusal
        case .some(let other): throw ProviderError.unknownStop(other)
        }
        closeBlock(to: sink)
        calls.finish(to: sink)
        return ModelReply(stopReason: reason, responseID: responseID)
    }

    // MARK: Blocks

    private mutating func appendText(_ text: String, to sink: (ModelEvent) -> Void) {
        if case .text(let index) = openBlock { return sink(.textDelta(index: index, text)) }
        closeBlock(to: sink)
        openBlock = .text(index: nextIndex)
        sink(.textStart(index: nextIndex))
        sink(.textDelta(index: nextIndex, text))
        nextIndex += 1
    }

    private mutating func appendThinking(_ text: String, field: String, to sink: (ModelEvent) -> Void) {
        if case .thinking(let index, _) = openBlock { return sink(.thinkingDelta(index: index, text)) }
        closeBlock(to: sink)
        openBlock = .thinking(index: nextIndex, field: field)
        sink(.thinkingStart(index: nextIndex))
        sink(.thinkingDelta(index: nextIndex, text))
        nextIndex += 1
    }

    private mutating func closeBlock(to sink: (ModelEvent) -> Void) {
        switch openBlock {
        case .none: return
        case .text(let index): sink(.textEnd(index: index))
        // The field's name is kept, so that the thinking can go back where it came from.
        case .thinking(let index, let field): sink(.thinkingEnd(index: index, signature: field))
        }
        openBlock = .none
    }

    // MARK: Usage

    private func counted(_ json: JSONValue) -> Usage {
        let prompt = json["prompt_tokens"]?.tokenCount ?? 0
        let completion = json["completion_tokens"]?.tokenCount ?? 0
        let cached = min(json["prompt_tokens_details"]?["cached_tokens"]?.tokenCount ?? 0, prompt)
        let reasoning = json["completion_tokens_details"]?["reasoning_tokens"]?.tokenCount ?? 0
        // Some servers count reasoning beside the completion; their total tells.
        let isSeparate = json["total_tokens"]?.tokenCount == prompt + completion + reasoning
        var usage = Usage(
            input: prompt - cached, output: completion + (isSeparate ? reasoning : 0), cacheRead: cached, cost: nil)
        usage.cost = prices?.cost(of: usage)
        return usage
    }
}
