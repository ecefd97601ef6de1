// The JSON form of messages as Pi's session format (version 3) has it; keys in Pi's order.

extension Message {
    /// Reads a stored message of one of the four roles that models know; nil for another role.
    ///
    /// Missing content counts as none, as in Pi since 0.83; blocks of an unknown type are left out.
    public init?(json: JSONValue) {
        let timestamp = Timestamp(json: json["timestamp"]) ?? Timestamp(milliseconds: 0)
        switch json["role"]?.string {
        case "system":
            self = .system(SystemMessage(text: ContentBlock.plainText(json["content"]), timestamp: timestamp))
        case "user":
            self = .user(UserMessage(content: ContentBlock.blocks(json["content"]), timestamp: timestamp))
        case "assistant":
            self = .assistant(AssistantMessage(json: json, timestamp: timestamp))
        case "toolResult":
            self = .toolResult(
                ToolResultMessage(
                    toolCallID: json["toolCallId"]?.string ?? "", toolName: json["toolName"]?.string ?? "",
                    content: ContentBlock.blocks(json["content"]), details: json["details"],
                    isError: json["isError"]?.bool ?? false, timestamp: timestamp))
        default: return nil
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            switch self {
            case .system(let message):
                writer.member("role", "system")
                writer.member("content", message.text)
                writer.member("timestamp", Int(message.timestamp.milliseconds))
            case .user(let message):
                writer.member("role", "user")
                ContentBlock.write(message.content, to: &writer)
                writer.member("timestamp", Int(message.timestamp.milliseconds))
            case .assistant(let message):
                message.writeMembers(to: &writer)
            case .toolResult(let message):
                writer.member("role", "toolResult")
                writer.member("toolCallId", message.toolCallID)
                writer.member("toolName", message.toolName)
                ContentBlock.write(message.content, to: &writer)
                if let details = message.details { writer.member("details", details) }
                writer.member("isError", message.isError)
                writer.member("timestamp", Int(message.timestamp.milliseconds))
            }
        }
    }

    public var serialized: [UInt8] {
        var writer = JSONWriter()
        write(to: &writer)
        return writer.bytes
    }

    public var role: MessageRole {
        switch self {
        case .system: .system
        case .user: .user
        case .assistant: .assistant
        case .toolResult: .toolResult
        }
    }
}

extension AssistantMessage {
    fileprivate init(json: JSONValue, timestamp: Timestamp) {
        self.init(
            content: ContentBlock.blocks(json["content"]), api: json["api"]?.string ?? "",
            model: ModelReference(provider: json["provider"]?.string ?? "", id: json["model"]?.string ?? ""),
            usage: Usage(json: json["usage"]),
            stopReason: json["stopReason"]?.string.flatMap(StopReason.init) ?? .stop,
            errorMessage: json["errorMessage"]?.string, responseID: json["responseId"]?.string, timestamp: timestamp)
    }

    fileprivate func writeMembers(to writer: inout JSONWriter) {
        writer.member("role", "assistant")
        ContentBlock.write(content, to: &writer)
        writer.member("api", api)
        writer.member("provider", model.provider)
        writer.member("model", model.id)
        writer.key("usage")
        usage.write(to: &writer)
        writer.member("stopReason", stopReason.rawValue)
        writer.member("timestamp", Int(timestamp.milliseconds))
        writer.member("errorMessage", ifPresent: errorMessage)
        writer.member("responseId", ifPresent: responseID)
    }
}

extension ContentBlock {
    /// A string counts as one text block; null and anything else as no block.
    public static func blocks(_ json: JSONValue?) -> [ContentBlock] {
        switch json {
        case .string(let text): [.text(text)]
        case .array(let elements): elements.compactMap(ContentBlock.init(json:))
        default: []
        }
    }

    /// The texts of the text blocks, joined by newlines.
    static func plainText(_ json: JSONValue?) -> String {
        blocks(json).compactMap(\.text).joined(separator: "\n")
    }

    public init?(json: JSONValue) {
        switch json["type"]?.string {
        case "text":
            self = .text(TextBlock(text: json["text"]?.string ?? "", signature: json["textSignature"]?.string))
        case "thinking":
            self = .thinking(
                ThinkingBlock(
                    thinking: json["thinking"]?.string ?? "", signature: json["thinkingSignature"]?.string,
                    isRedacted: json["redacted"]?.bool ?? false))
        case "image":
            self = .image(ImageBlock(data: json["data"]?.string ?? "", mimeType: json["mimeType"]?.string ?? ""))
        case "toolCall":
            self = .toolCall(
                ToolCall(
                    id: json["id"]?.string ?? "", name: json["name"]?.string ?? "",
                    arguments: json["arguments"]?.object ?? JSONObject(),
                    thoughtSignature: json["thoughtSignature"]?.string))
        default: return nil
        }
    }

    static func write(_ blocks: [ContentBlock], to writer: inout JSONWriter) {
        writer.key("content")
        writer.array { writer in for block in blocks { block.write(to: &writer) } }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            switch self {
            case .text(let block):
                writer.member("type", "text")
                writer.member("text", block.text)
                writer.member("textSignature", ifPresent: block.signature)
            case .thinking(let block):
                writer.member("type", "thinking")
                writer.member("thinking", block.thinking)
                writer.member("thinkingSignature", ifPresent: block.signature)
                if block.isRedacted { writer.member("redacted", true) }
            case .image(let block):
                writer.member("type", "image")
                writer.member("data", block.data)
                writer.member("mimeType", block.mimeType)
            case .toolCall(let call):
                writer.member("type", "toolCall")
                writer.member("id", call.id)
                writer.member("name", call.name)
                writer.key("arguments")
                writer.value(call.arguments)
                writer.member("thoughtSignature", ifPresent: call.thoughtSignature)
            }
        }
    }
}
