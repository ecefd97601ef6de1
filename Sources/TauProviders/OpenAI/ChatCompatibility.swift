/// Where servers of the Chat Completions API differ.
struct ChatCompatibility: Sendable, Hashable {
    /// The name of the field that bounds the answer.
    enum MaxTokensField: String, Sendable {
        case maxTokens = "max_tokens"
        case maxCompletionTokens = "max_completion_tokens"
    }

    var maxTokensField = MaxTokensField.maxTokens
    /// Instructions for reasoning models go into the role `developer`.
    var hasDeveloperRole = false
    /// `store` is known, and is sent as false: Tau keeps the conversation itself.
    var hasStore = false
    var hasReasoningEffort = false
    /// `strict` is known in tool definitions.
    var hasStrictTools = false
    var hasPromptCacheKey = false
    /// `stream_options.include_usage` is known.
    var hasStreamedUsage = true

    /// What every compatible server is expected to understand.
    static let conservative = ChatCompatibility()
    /// What api.openai.com understands.
    static let openAI = ChatCompatibility(
        maxTokensField: .maxCompletionTokens, hasDeveloperRole: true, hasStore: true, hasReasoningEffort: true,
        hasStrictTools: true, hasPromptCacheKey: true)

    static func standard(host: String) -> ChatCompatibility { host == "api.openai.com" ? .openAI : .conservative }
}
