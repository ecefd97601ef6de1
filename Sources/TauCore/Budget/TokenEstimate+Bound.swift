extension TokenEstimate {
    /// Tokens that a prompt will hardly exceed: what the same model counted last, and a token for three bytes of everything else.
    public static func bound(of request: ModelRequest) -> Int {
        bound(
            of: request.messages, systemPrompt: request.systemPrompt, tools: request.tools, for: request.model.reference
        )
    }

    /// The same for what is not a request yet.
    public static func bound(
        of messages: [Message], systemPrompt: String?, tools: [ToolDefinition], for model: ModelReference
    ) -> Int {
        var bytes = 0
        for message in messages.reversed() {
            if let counted = countedTokens(message, by: model) { return counted + tokens(ofBytes: bytes) }
            bytes += byteCount(of: message)
        }
        bytes += systemPrompt?.utf8.count ?? 0
        for tool in tools { bytes += byteCount(of: tool) }
        return tokens(ofBytes: bytes)
    }

    /// What a model has counted of everything up to an answer of its own.
    private static func countedTokens(_ message: Message, by model: ModelReference) -> Int? {
        guard case .assistant(let answer) = message, answer.model == model, answer.stopReason != .error,
            answer.stopReason != .aborted, answer.usage.totalTokens > 0
        else { return nil }
        return answer.usage.totalTokens
    }

    private static func tokens(ofBytes bytes: Int) -> Int { (bytes + 2) / 3 }

    /// What a message has beside its text: roles, separators, names.
    private static let bytesOfFrame = 24
    /// An image has at most about 1,600 tokens with all providers.
    private static let bytesOfImage = 4800

    static func byteCount(of tool: ToolDefinition) -> Int {
        bytesOfFrame + tool.name.utf8.count + tool.description.utf8.count + tool.parameters.text.utf8.count
    }

    private static func byteCount(of message: Message) -> Int {
        let content: [ContentBlock]
        switch message {
        case .system(let message): return bytesOfFrame + message.text.utf8.count
        case .user(let message): content = message.content
        case .assistant(let message): content = message.content
        case .toolResult(let message): content = message.content
        }
        return bytesOfFrame + byteCount(of: content)
    }

    /// The same for a message that is not in a context yet.
    public static func bound(of content: [ContentBlock]) -> Int {
        tokens(ofBytes: bytesOfFrame + byteCount(of: content))
    }

    private static func byteCount(of content: [ContentBlock]) -> Int {
        content.reduce(0) { sum, block in
            switch block {
            case .text(let block): sum + block.text.utf8.count
            case .thinking(let block): sum + block.thinking.utf8.count + (block.signature?.utf8.count ?? 0)
            case .image: sum + bytesOfImage
            case .toolCall(let call):
                sum + bytesOfFrame + call.name.utf8.count + JSONValue.object(call.arguments).text.utf8.count
            }
        }
    }
}
