internal import TauCore

/// The body of a Chat Completions request. Pure: the same request gives the same body, so that prompt caches hit.
struct ChatRequest {
    /// The fields in which servers send reasoning; it goes back in the field that it came in.
    static let reasoningFields = ["reasoning_content", "reasoning", "reasoning_text"]

    let request: ModelRequest
    let compatibility: ChatCompatibility

    var body: JSONValue {
        let rule: ToolCallIDRule =
            switch compatibility.toolCallIDs {
            case .fortyCharacters: .chatCompletions
            case .nineCharacters: .nineCharacters
            }
        let messages = TranscriptTransform.messages(of: request, idRule: rule)
        var body = JSONObject()
        body.update("model", to: .string(request.model.reference.id))
        body.update("messages", to: .array(instructions + conversation(messages)))
        body.update("stream", to: true)
        if compatibility.hasStreamedUsage { body.update("stream_options", to: ["include_usage": true]) }
        if compatibility.hasStore { body.update("store", to: false) }
        if let maximum = request.maxOutputTokens {
            body.update(
                compatibility.maxTokensField.rawValue, to: .integer(min(maximum, request.model.maxOutputTokens)))
        }
        if !request.tools.isEmpty {
            body.update("tools", to: .array(request.tools.map(tool)))
        } else if compatibility.hasEmptyTools, messages.contains(where: \.concernsTools) {
            // Proxies to other APIs refuse a history with calls when nothing is said of tools.
            body.update("tools", to: [])
        }
        setThinking(&body)
        if compatibility.hasPromptCacheKey {
            body.update("prompt_cache_key", to: .string(String(request.sessionID.rawValue.prefix(64))))
        }
        return .object(body)
    }

    private var instructions: [JSONValue] {
        guard let prompt = request.systemPrompt, !prompt.isBlank else { return [] }
        let isDeveloper = request.model.supportsReasoning && compatibility.hasDeveloperRole
        return [["role": isDeveloper ? "developer" : "system", "content": .string(prompt)]]
    }

    private func setThinking(_ body: inout JSONObject) {
        guard request.model.supportsReasoning else { return }
        let isOn = request.thinkingLevel != .off
        switch compatibility.thinking {
        case .none: break
        case .reasoningEffort: if let effort { body.update("reasoning_effort", to: .string(effort)) }
        case .reasoningObject:
            let setting: JSONValue = effort.map { ["effort": .string($0)] } ?? ["enabled": false]
            body.update("reasoning", to: setting)
        case .enableThinking: body.update("enable_thinking", to: .bool(isOn))
        case .chatTemplate: body.update("chat_template_kwargs", to: ["enable_thinking": .bool(isOn)])
        }
    }

    private var effort: String? {
        let id = request.model.reference.id
        // The step above "high" came with GPT-5.2.
        let hasMore = ["gpt-5.2", "gpt-5.3", "gpt-5.4", "gpt-5.5", "gpt-5.6"].contains(where: id.hasPrefix)
        switch request.thinkingLevel {
        case .off: return nil
        case .minimal: return id.hasPrefix("gpt-5") && !hasMore ? "minimal" : "low"
        case .low, .medium, .high: return request.thinkingLevel.rawValue
        case .xhigh, .max: return hasMore ? "xhigh" : "high"
        }
    }

    private func tool(_ definition: ToolDefinition) -> JSONValue {
        var function = JSONObject()
        function.update("name", to: .string(definition.name))
        function.update("description", to: .string(definition.description))
        function.update("parameters", to: definition.parameters)
        if compatibility.hasStrictTools { function.update("strict", to: false) }
        return ["type": "function", "function": .object(function)]
    }

    // MARK: Messages

    private func conversation(_ messages: [Message]) -> [JSONValue] {
        var elements: [JSONValue] = []
        // Results are text alone; their images follow in one message of the user.
        var resultImages: [ImageBlock] = []
        func flushImages() {
            guard !resultImages.isEmpty else { return }
            let lead: JSONValue = ["type": "text", "text": "Attached image(s) from tool result:"]
            user([["role": "user", "content": .array([lead] + resultImages.map(Self.image))]])
            resultImages = []
        }
        func user(_ new: [JSONValue]) {
            if compatibility.needsAnswerAfterToolResults, !new.isEmpty, elements.last?["role"] == "tool" {
                elements.append(["role": "assistant", "content": "The results are read."])
            }
            elements += new
        }
        for message in messages {
            if case .toolResult(let result) = message {
                elements.append(toolResult(result))
                if request.model.takesImages { resultImages += result.content.images }
                continue
            }
            flushImages()
            switch message {
            case .user(let message): user(userMessage(message))
            case .assistant(let assistant): elements.append(contentsOf: assistantMessage(assistant))
            case .system, .toolResult: continue
            }
        }
        flushImages()
        if hasCacheControl { Self.markCacheEnd(&elements) }
        return elements
    }

    // MARK: Prompt cache

    /// Claude behind a proxy caches only what is marked.
    private var hasCacheControl: Bool {
        compatibility.hasCacheControl && request.model.reference.id.hasPrefix("anthropic/")
    }

    private static func markCacheEnd(_ elements: inout [JSONValue]) {
        let speakers: [JSONValue] = ["user", "assistant"]
        let place = elements.lastIndex { element in
            speakers.contains(element["role"] ?? .null) && !(element["content"]?.isNull ?? true)
        }
        guard let place, var element = elements[place].object, let content = element["content"] else { return }
        var parts = content.array ?? [["type": "text", "text": content]]
        guard let text = parts.lastIndex(where: { $0["type"] == "text" }), var part = parts[text].object else { return }
        part.update("cache_control", to: ["type": "ephemeral"])
        parts[text] = .object(part)
        element.update("content", to: .array(parts))
        elements[place] = .object(element)
    }

    // MARK: Speakers

    private func userMessage(_ message: UserMessage) -> [JSONValue] {
        let blocks = message.content.sendable(to: request.model)
        if blocks.isEmpty { return [] }
        if blocks.count == 1, let text = blocks[0].text { return [["role": "user", "content": .string(text)]] }
        let parts = blocks.compactMap { block -> JSONValue? in
            switch block {
            case .text(let text): ["type": "text", "text": .string(text.text)]
            case .image(let image): Self.image(image)
            case .thinking, .toolCall: nil
            }
        }
        return [["role": "user", "content": .array(parts)]]
    }

    private static func image(_ image: ImageBlock) -> JSONValue {
        ["type": "image_url", "image_url": ["url": .string("data:\(image.mimeType);base64,\(image.data)")]]
    }

    private func assistantMessage(_ message: AssistantMessage) -> [JSONValue] {
        var text = ""
        var thoughts: [ThinkingBlock] = []
        for block in message.content {
            switch block {
            case .text(let block): if !block.text.isBlank { text += block.text }
            case .thinking(let block) where block.thinking.isBlank: continue
            case .thinking(let block) where compatibility.sendsThinkingAsText:
                text += (text.isEmpty ? "" : "\n\n") + block.thinking + "\n\n"
            case .thinking(let block): thoughts.append(block)
            case .image, .toolCall: continue
            }
        }
        let calls = message.toolCalls
        guard !text.isEmpty || !calls.isEmpty else { return [] }
        var element: JSONObject = JSONObject()
        element.update("role", to: "assistant")
        element.update("content", to: text.isEmpty ? .null : .string(text))
        // The field's name comes out of a stored session, so only known ones count.
        if let field = thoughts.first?.signature, Self.reasoningFields.contains(field) {
            element.update(field, to: .string(thoughts.map(\.thinking).joined(separator: "\n")))
        }
        if !calls.isEmpty { element.update("tool_calls", to: .array(calls.map(Self.toolCall))) }
        // Encrypted reasoning, as OpenRouter gives it with a call.
        let details = calls.compactMap { call in
            call.thoughtSignature.flatMap { try? JSONValue(parsing: $0.utf8) }.flatMap {
                $0.object.map(JSONValue.object)
            }
        }
        if !details.isEmpty { element.update("reasoning_details", to: .array(details)) }
        return [.object(element)]
    }

    private static func toolCall(_ call: ToolCall) -> JSONValue {
        [
            "id": .string(call.id), "type": "function",
            "function": ["name": .string(call.name), "arguments": .string(JSONValue.object(call.arguments).text)],
        ]
    }

    private func toolResult(_ result: ToolResultMessage) -> JSONValue {
        let text = result.content.sendable(to: request.model).joinedText
        let hasImages = request.model.takesImages && !result.content.images.isEmpty
        let content = text.isEmpty ? (hasImages ? "(see attached image)" : "(no output)") : text
        var element: JSONObject = JSONObject()
        element.update("role", to: "tool")
        if compatibility.namesToolResults { element.update("name", to: .string(result.toolName)) }
        element.update("tool_call_id", to: .string(result.toolCallID))
        element.update("content", to: .string(content))
        return .object(element)
    }
}

extension Message {
    /// The message has a tool call or is a result of one.
    var concernsTools: Bool {
        switch self {
        case .assistant(let message): !message.toolCalls.isEmpty
        case .toolResult: true
        case .system, .user: false
        }
    }
}
