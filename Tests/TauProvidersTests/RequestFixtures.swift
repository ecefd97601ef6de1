import TauCore

@testable import TauProviders

let noTime = Timestamp(milliseconds: 0)

func user(_ content: ContentBlock...) -> Message { .user(UserMessage(content: content, timestamp: noTime)) }

func assistant(
    _ content: ContentBlock..., api: String = "openai-completions", model: String = "openai/gpt-4o",
    stopReason: StopReason = .stop
) -> Message {
    .assistant(
        AssistantMessage(
            content: content, api: api, model: ModelReference(model) ?? ModelReference(provider: "", id: ""),
            stopReason: stopReason, timestamp: noTime))
}

func result(_ id: String, _ content: ContentBlock..., isError: Bool = false, name: String = "read") -> Message {
    .toolResult(
        ToolResultMessage(toolCallID: id, toolName: name, content: content, isError: isError, timestamp: noTime))
}

let image = ContentBlock.image(ImageBlock(data: "aGk=", mimeType: "image/png"))

let readTool = ToolDefinition(
    name: "read", description: "Reads a file",
    parameters: [
        "type": "object", "properties": ["path": ["type": "string"], "limit": ["type": "integer"]],
        "required": ["path"], "additionalProperties": false,
    ])

func listed(_ reference: String) -> ModelDescription {
    BuiltInModels.all.first { $0.reference.description == reference } ?? BuiltInModels.scripted
}

func request(
    _ model: ModelDescription, _ messages: [Message], systemPrompt: String? = nil, tools: [ToolDefinition] = [],
    thinking: ThinkingLevel = .off, maxOutputTokens: Int? = nil
) -> ModelRequest {
    ModelRequest(
        model: model, systemPrompt: systemPrompt, messages: messages, tools: tools, thinkingLevel: thinking,
        maxOutputTokens: maxOutputTokens, sessionID: SessionID(unchecked: "s1"))
}

extension ProvidersConfiguration {
    mutating func use(_ name: String, key: String? = nil, baseURL: String? = nil) {
        var settings = ProviderSettings()
        settings.key = key
        settings.baseURL = baseURL
        providers[name] = settings
    }
}
