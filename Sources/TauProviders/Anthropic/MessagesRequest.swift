internal import TauCore

/// The body of an Anthropic Messages request. Pure: the same request gives the same body, so that prompt caches hit.
struct MessagesRequest {
    /// Where a part of the prompt ends that is worth keeping in the cache.
    private static let cacheControl: JSONValue = ["type": "ephemeral"]
    /// Tokens that must remain for the answer itself when thinking has a budget.
    private static let minimumAnswer = 1024
    /// Tokens of an answer when the caller names no bound.
    private static let standardAnswer = 32_000

    let request: ModelRequest

    var body: JSONValue {
        let (maximum, thinking) = bounds
        var body = JSONObject()
        body.update("model", to: .string(request.model.reference.id))
        body.update("messages", to: .array(messages))
        body.update("max_tokens", to: .integer(maximum))
        body.update("stream", to: true)
        if let prompt = request.systemPrompt, !prompt.isBlank {
            let block: JSONValue = ["type": "text", "text": .string(prompt), "cache_control": Self.cacheControl]
            body.update("system", to: [block])
        }
        if !request.tools.isEmpty { body.update("tools", to: .array(request.tools.map(Self.tool))) }
        switch thinking {
        case .none: break
        case .budget(let tokens):
            body.update("thinking", to: ["type": "enabled", "budget_tokens": .integer(tokens)])
        case .adaptive(let effort):
            body.update("thinking", to: ["type": "adaptive"])
            body.update("output_config", to: ["effort": .string(effort)])
        }
        return .object(body)
    }

    /// Features to be asked for by name.
    var betas: [String] {
        let streaming = "fine-grained-tool-streaming-2025-05-14"
        return isAdaptive ? [streaming] : [streaming, "interleaved-thinking-2025-05-14"]
    }

    private static func tool(_ definition: ToolDefinition) -> JSONValue {
        [
            "name": .string(definition.name), "description": .string(definition.description),
            "input_schema": [
                "type": "object", "properties": definition.parameters["properties"] ?? [:],
                "required": definition.parameters["required"] ?? [],
            ],
        ]
    }

    // MARK: Thinking

    private enum Thinking {
        case none
        case budget(Int)
        case adaptive(effort: String)
    }

    /// The model decides itself how long it thinks.
    private var isAdaptive: Bool {
        let id = request.model.reference.id
        let families = [
            "opus-4-6", "opus-4.6", "opus-4-7", "opus-4-8", "sonnet-4-6", "sonnet-4.6", "opus-5", "sonnet-5", "fable-5",
            "mythos-5",
        ]
        return families.contains { id.contains($0) }
    }

    private var bounds: (maximum: Int, thinking: Thinking) {
        let limit = request.model.maxOutputTokens
        let base = max(1, min(request.maxOutputTokens ?? Self.standardAnswer, limit))
        guard request.model.supportsReasoning, request.thinkingLevel != .off else { return (base, .none) }
        if isAdaptive { return (base, .adaptive(effort: effort)) }
        let maximum = min(base + budget, limit)
        let tokens = maximum > budget ? budget : maximum - Self.minimumAnswer
        // The API refuses smaller budgets.
        guard tokens >= 1024 else { return (base, .none) }
        return (maximum, .budget(tokens))
    }

    private var budget: Int {
        switch request.thinkingLevel {
        case .off: 0
        case .minimal: 1024
        case .low: 2048
        case .medium: 8192
        case .high, .xhigh, .max: 16_384
        }
    }

    private var effort: String {
        switch request.thinkingLevel {
        case .off, .minimal, .low: "low"
        case .medium: "medium"
        case .high: "high"
        case .xhigh, .max: request.model.reference.id.contains("opus") ? "max" : "high"
        }
    }

    // MARK: Messages

    private var messages: [JSONValue] {
        var turns: [(role: String, blocks: [JSONValue])] = []
        var followsResult = false
        for message in TranscriptTransform.messages(of: request, idRule: .anthropic) {
            switch message {
            case .system: continue
            case .user(let user):
                let blocks = content(user.content)
                if !blocks.isEmpty { turns.append(("user", blocks)) }
                followsResult = false
            case .assistant(let assistant):
                let blocks = assistant.content.compactMap(Self.assistantBlock)
                if !blocks.isEmpty { turns.append(("assistant", blocks)) }
                followsResult = false
            case .toolResult(let result):
                // All results of one turn belong into one message.
                if followsResult, !turns.isEmpty {
                    turns[turns.count - 1].blocks.append(toolResult(result))
                } else {
                    turns.append(("user", [toolResult(result)]))
                }
                followsResult = true
            }
        }
        if let last = turns.lastIndex(where: { $0.role == "user" }) { Self.markCacheEnd(&turns[last].blocks) }
        return turns.map { ["role": .string($0.role), "content": .array($0.blocks)] }
    }

    private static func markCacheEnd(_ blocks: inout [JSONValue]) {
        guard case .object(var block)? = blocks.popLast() else { return }
        block.update("cache_control", to: cacheControl)
        blocks.append(.object(block))
    }

    private func content(_ blocks: [ContentBlock]) -> [JSONValue] {
        blocks.sendable(to: request.model).compactMap { block in
            switch block {
            case .text(let text): ["type": "text", "text": .string(text.text)]
            case .image(let image):
                [
                    "type": "image",
                    "source": [
                        "type": "base64", "media_type": .string(image.mimeType), "data": .string(image.data),
                    ],
                ]
            case .thinking, .toolCall: nil
            }
        }
    }

    private static func assistantBlock(_ block: ContentBlock) -> JSONValue? {
        switch block {
        case .text(let text): return text.text.isBlank ? nil : ["type": "text", "text": .string(text.text)]
        case .thinking(let thinking):
            let signature = thinking.signature ?? ""
            if thinking.isRedacted { return ["type": "redacted_thinking", "data": .string(signature)] }
            if !signature.isEmpty {
                return [
                    "type": "thinking", "thinking": .string(thinking.thinking), "signature": .string(signature),
                ]
            }
            // Thinking without a signature is refused as such, for example when an answer was cut off.
            return thinking.thinking.isBlank ? nil : ["type": "text", "text": .string(thinking.thinking)]
        case .toolCall(let call):
            return [
                "type": "tool_use", "id": .string(call.id), "name": .string(call.name),
                "input": .object(call.arguments),
            ]
        case .image: return nil
        }
    }

    private func toolResult(_ result: ToolResultMessage) -> JSONValue {
        var blocks = content(result.content)
        let hasImages = request.model.takesImages && !result.content.images.isEmpty
        if hasImages, result.content.joinedText.isBlank {
            blocks.insert(["type": "text", "text": "(see attached image)"], at: 0)
        }
        return [
            "type": "tool_result", "tool_use_id": .string(result.toolCallID),
            "content": hasImages
                ? .array(blocks) : .string(result.content.sendable(to: request.model).joinedText),
            "is_error": .bool(result.isError),
        ]
    }
}
