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

    mutating func takesAsItIs(_ event: EventStreamParser.EventView) -> Bool {
        guard event.data.elementsEqual("[DONE]".utf8) else { return false }
        isComplete = true
        return true
    }

    mutating func decode(
        _ chunk: JSONView, of event: EventStreamParser.EventView, to sink: (ModelEvent) -> Void
    ) throws(ProviderError) {
        if let error = chunk["error"], !error.isNull { throw ErrorAnswer.error(inStream: chunk.value) ?? .unnamed }
        if responseID == nil { responseID = chunk["id"]?.nonEmptyString }
        // More than one choice is never asked for; a stray one would mix two answers.
        var choice = chunk["choices"]?.first
        if let index = choice?["index"]?.integer, index != 0 {
            choice = chunk["choices"]?.elements.first { $0["index"]?.integer == 0 }
        }
        for usage in [chunk["usage"], choice?["usage"], chunk["x_groq"]?["usage"]] {
            guard let usage, usage.isObject else { continue }
            sink(.usage(counted(usage)))
            break
        }
        guard let choice else { return }
        if let reason = choice["finish_reason"]?.nonEmptyString { finishReason = reason }
        guard let delta = choice["delta"] else { return }
        if let (text, field) = Self.reasoning(delta) { appendThinking(text, field: field, to: sink) }
        if let content = delta["content"] {
            if let text = content.nonEmptyString { appendText(text, to: sink) }
            for part in content.elements { append(part, to: sink) }
        }
        for call in delta["tool_calls"]?.elements ?? [] {
            closeBlock(to: sink)
            calls.append(call, nextIndex: &nextIndex, responseID: responseID, to: sink)
        }
        // Encrypted reasoning that belongs to a call and has to come back with it.
        for detail in delta["reasoning_details"]?.elements ?? [] {
            guard detail["type"]?.equals("reasoning.encrypted") == true, let id = detail["id"]?.string else { continue }
            calls.setSignature(detail.value.text, ofCall: id)
        }
    }

    /// The field in which this server sends reasoning.
    private static func reasoning(_ delta: JSONView) -> (text: String, field: String)? {
        if let text = delta["reasoning_content"]?.nonEmptyString { return (text, "reasoning_content") }
        if let text = delta["reasoning"]?.nonEmptyString { return (text, "reasoning") }
        return delta["reasoning_text"]?.nonEmptyString.map { ($0, "reasoning_text") }
    }

    /// A part of a content that is a list, as Mistral's reasoning models write it.
    private mutating func append(_ part: JSONView, to sink: (ModelEvent) -> Void) {
        if let text = part["text"]?.nonEmptyString { appendText(text, to: sink) }
        for thought in part["thinking"]?.elements ?? [] {
            guard let text = thought["text"]?.nonEmptyString else { continue }
            appendThinking(text, field: "thinking", to: sink)
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

    private func counted(_ json: JSONView) -> Usage {
        let prompt = json["prompt_tokens"]?.tokenCount ?? 0
        let completion = json["completion_tokens"]?.tokenCount ?? 0
        let details = json["prompt_tokens_details"]
        let read = details?["cached_tokens"]?.tokenCount ?? json["prompt_cache_hit_tokens"]?.tokenCount ?? 0
        let cached = min(read, prompt)
        // As OpenRouter counts them; part of the prompt, too.
        let written = min(details?["cache_write_tokens"]?.tokenCount ?? 0, prompt - cached)
        let reasoning = json["completion_tokens_details"]?["reasoning_tokens"]?.tokenCount ?? 0
        // Some servers count reasoning beside the completion; their total tells.
        let isSeparate = json["total_tokens"]?.tokenCount == prompt + completion + reasoning
        var usage = Usage(
            input: prompt - cached - written, output: completion + (isSeparate ? reasoning : 0), cacheRead: cached,
            cacheWrite: written, cost: nil)
        usage.cost = prices?.cost(of: usage)
        return usage
    }
}
