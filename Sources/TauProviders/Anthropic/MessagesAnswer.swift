internal import TauCore
internal import TauWire

/// Reads the events of a streamed Messages answer. Blocks may overlap, and may be of kinds that Tau does not know.
struct MessagesAnswer: AnswerDecoder {
    private enum Kind { case text, thinking, redacted, toolCall }

    private struct Block {
        let kind: Kind
        /// In the finished message.
        let index: Int
        var signature = ""
        /// A call's arguments, where they come with its start.
        var input: JSONObject?
        var hasArguments = false
    }

    private let prices: Prices?
    private(set) var isComplete = false
    private var responseID: String?
    private var stopReason: String?
    /// Open blocks by the number that the server gives them.
    private var blocks: [Int: Block] = [:]
    private var nextIndex = 0
    private var hasToolCalls = false
    private var usage = Usage()

    init(prices: Prices?) { self.prices = prices }

    var canFinish: Bool { isComplete }

    mutating func takesAsItIs(_ event: EventStreamParser.EventView) -> Bool {
        event.type.elementsEqual("ping".utf8)
    }

    mutating func decode(
        _ json: JSONView, of event: EventStreamParser.EventView, to sink: (ModelEvent) -> Void
    ) throws(ProviderError) {
        let type = json["type"]
        // Almost all events are these.
        if type?.equals("content_block_delta") == true {
            guard let number = json["index"]?.integer, let delta = json["delta"] else { return }
            return append(delta, number, to: sink)
        }
        switch type?.string ?? String(decoding: event.type, as: UTF8.self) {
        case "message_start":
            responseID = json["message"]?["id"]?.nonEmptyString
            report(json["message"]?["usage"], to: sink)
        case "content_block_start":
            guard let number = json["index"]?.integer, let content = json["content_block"] else { return }
            start(number, content, to: sink)
        case "content_block_delta":
            guard let number = json["index"]?.integer, let delta = json["delta"] else { return }
            append(delta, number, to: sink)
        case "content_block_stop":
            if let number = json["index"]?.integer { stop(number, to: sink) }
        case "message_delta":
            stopReason = json["delta"]?["stop_reason"]?.nonEmptyString ?? stopReason
            report(json["usage"], to: sink)
        case "message_stop": isComplete = true
        case "ping": break
        default:
            if let error = ErrorAnswer.error(inStream: json.value) { throw error }
        }
    }

    mutating func finish(to sink: (ModelEvent) -> Void) throws(ProviderError) -> ModelReply {
        guard isComplete else { throw ProviderError.brokenStream("message_stop") }
        let reason: StopReason
        switch stopReason {
        case nil, "end_turn", "pause_turn", "stop_sequence", "tool_use": reason = hasToolCalls ? .toolUse : .stop
        case "max_tokens": reason = .length
        case "refusal", "sensitive": throw ProviderError.refusal
        case "model_context_window_exceeded":
            throw ProviderError(.contextTooLong, "The answer did not fit: model_context_window_exceeded")
        case .some(let other): throw ProviderError.unknownStop(other)
        }
        for number in blocks.keys.sorted() { stop(number, to: sink) }
        return ModelReply(stopReason: reason, responseID: responseID)
    }

    // MARK: Blocks

    private mutating func start(_ number: Int, _ content: JSONView, to sink: (ModelEvent) -> Void) {
        // A number that is used again would leave a block open for ever.
        stop(number, to: sink)
        let index = nextIndex
        var block: Block
        switch content["type"]?.string {
        case "text":
            block = Block(kind: .text, index: index)
            sink(.textStart(index: index))
            if let text = content["text"]?.nonEmptyString { sink(.textDelta(index: index, text)) }
        case "thinking":
            block = Block(kind: .thinking, index: index, signature: content["signature"]?.string ?? "")
            sink(.thinkingStart(index: index))
            if let text = content["thinking"]?.nonEmptyString { sink(.thinkingDelta(index: index, text)) }
        case "redacted_thinking":
            block = Block(kind: .redacted, index: index, signature: content["data"]?.string ?? "")
            sink(.thinkingStart(index: index))
        case "tool_use":
            block = Block(kind: .toolCall, index: index, input: content["input"]?.value.object)
            hasToolCalls = true
            let id = content["id"]?.nonEmptyString ?? "call_" + ShortHash.of("\(responseID ?? ""):\(index)")
            sink(.toolCallStart(index: index, id: id, name: content["name"]?.string ?? ""))
        default: return
        }
        blocks[number] = block
        nextIndex += 1
    }

    private mutating func append(_ delta: JSONView, _ number: Int, to sink: (ModelEvent) -> Void) {
        guard let block = blocks[number], let type = delta["type"] else { return }
        switch block.kind {
        case .text:
            guard type.equals("text_delta"), let text = delta["text"]?.nonEmptyString else { return }
            sink(.textDelta(index: block.index, text))
        case .thinking:
            if type.equals("signature_delta") {
                blocks[number]?.signature += delta["signature"]?.string ?? ""
            } else if type.equals("thinking_delta"), let text = delta["thinking"]?.nonEmptyString {
                sink(.thinkingDelta(index: block.index, text))
            }
        case .toolCall:
            guard type.equals("input_json_delta"), let text = delta["partial_json"]?.nonEmptyString else { return }
            blocks[number]?.hasArguments = true
            sink(.toolCallDelta(index: block.index, text))
        case .redacted: return
        }
    }

    private mutating func stop(_ number: Int, to sink: (ModelEvent) -> Void) {
        guard let block = blocks.removeValue(forKey: number) else { return }
        let signature = block.signature.isEmpty ? nil : block.signature
        switch block.kind {
        case .text: sink(.textEnd(index: block.index))
        case .thinking: sink(.thinkingEnd(index: block.index, signature: signature))
        case .redacted: sink(.thinkingEnd(index: block.index, signature: signature, isRedacted: true))
        case .toolCall:
            if !block.hasArguments, let input = block.input, !input.members.isEmpty {
                sink(.toolCallDelta(index: block.index, JSONValue.object(input).text))
            }
            sink(.toolCallEnd(index: block.index))
        }
    }

    // MARK: Usage

    /// Counts that a later event does not name, or gives as null, stay as they were.
    private mutating func report(_ json: JSONView?, to sink: (ModelEvent) -> Void) {
        guard let json, json.isObject else { return }
        usage = Usage(
            input: json["input_tokens"]?.tokenCount ?? usage.input,
            output: json["output_tokens"]?.tokenCount ?? usage.output,
            cacheRead: json["cache_read_input_tokens"]?.tokenCount ?? usage.cacheRead,
            cacheWrite: json["cache_creation_input_tokens"]?.tokenCount ?? usage.cacheWrite, cost: nil)
        usage.cost = prices?.cost(of: usage)
        sink(.usage(usage))
    }
}
