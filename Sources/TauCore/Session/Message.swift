/// One message of a conversation as a model sees it.
public enum Message: Sendable, Hashable {
    case system(SystemMessage)
    case user(UserMessage)
    case assistant(AssistantMessage)
    case toolResult(ToolResultMessage)
}

/// Instructions; may also name sections that it replaces or removes, and tools that it adds or removes.
public struct SystemMessage: Sendable, Hashable {
    public var text: String
    public var timestamp: Timestamp

    public init(text: String, timestamp: Timestamp) {
        self.text = text
        self.timestamp = timestamp
    }
}

public struct UserMessage: Sendable, Hashable {
    public var content: [ContentBlock]
    public var timestamp: Timestamp

    public init(content: [ContentBlock], timestamp: Timestamp) {
        self.content = content
        self.timestamp = timestamp
    }
}

public struct AssistantMessage: Sendable, Hashable {
    public var content: [ContentBlock]
    public var api: String
    public var model: ModelReference
    public var usage: Usage
    public var stopReason: StopReason
    public var errorMessage: String?
    public var responseID: String?
    public var timestamp: Timestamp

    public init(
        content: [ContentBlock], api: String, model: ModelReference, usage: Usage = Usage(),
        stopReason: StopReason, errorMessage: String? = nil, responseID: String? = nil, timestamp: Timestamp
    ) {
        self.content = content
        self.api = api
        self.model = model
        self.usage = usage
        self.stopReason = stopReason
        self.errorMessage = errorMessage
        self.responseID = responseID
        self.timestamp = timestamp
    }

    public var toolCalls: [ToolCall] {
        content.compactMap { if case .toolCall(let call) = $0 { call } else { nil } }
    }
}

public struct ToolResultMessage: Sendable, Hashable {
    public var toolCallID: String
    public var toolName: String
    public var content: [ContentBlock]
    public var details: JSONValue?
    public var isError: Bool
    public var timestamp: Timestamp

    public init(
        toolCallID: String, toolName: String, content: [ContentBlock], details: JSONValue? = nil, isError: Bool,
        timestamp: Timestamp
    ) {
        self.toolCallID = toolCallID
        self.toolName = toolName
        self.content = content
        self.details = details
        self.isError = isError
        self.timestamp = timestamp
    }
}

/// Why an answer ended.
public enum StopReason: String, Sendable {
    case stop, length, toolUse, error, aborted
}

/// A part of a message.
public enum ContentBlock: Sendable, Hashable {
    case text(TextBlock)
    case thinking(ThinkingBlock)
    case image(ImageBlock)
    case toolCall(ToolCall)

    public static func text(_ text: String) -> ContentBlock { .text(TextBlock(text: text)) }

    /// The text of a text block.
    public var text: String? { if case .text(let block) = self { block.text } else { nil } }
}

public struct TextBlock: Sendable, Hashable {
    public var text: String
    /// What the provider wants back with the text, opaque to Tau.
    public var signature: String?

    public init(text: String, signature: String? = nil) {
        self.text = text
        self.signature = signature
    }
}

public struct ThinkingBlock: Sendable, Hashable {
    public var thinking: String
    /// Anthropic: the block's signature. Chat Completions: the name of the field that the reasoning came in.
    public var signature: String?
    /// The provider hid the text; `signature` holds the encrypted payload.
    public var isRedacted: Bool

    public init(thinking: String, signature: String? = nil, isRedacted: Bool = false) {
        self.thinking = thinking
        self.signature = signature
        self.isRedacted = isRedacted
    }
}

public struct ImageBlock: Sendable, Hashable {
    /// Base64.
    public var data: String
    public var mimeType: String

    public init(data: String, mimeType: String) {
        self.data = data
        self.mimeType = mimeType
    }
}

/// A model's request for one tool.
public struct ToolCall: Sendable, Hashable {
    public var id: String
    public var name: String
    public var arguments: JSONObject
    public var thoughtSignature: String?

    public init(id: String, name: String, arguments: JSONObject, thoughtSignature: String? = nil) {
        self.id = id
        self.name = name
        self.arguments = arguments
        self.thoughtSignature = thoughtSignature
    }
}
