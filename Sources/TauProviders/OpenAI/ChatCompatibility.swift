internal import TauCore

/// Where servers of the Chat Completions API differ. The names are those of `models.providers.<name>.compatibility`.
struct ChatCompatibility: Sendable, Hashable {
    /// The name of the field that bounds the answer.
    enum MaxTokensField: String, Sendable, CaseIterable {
        case maxTokens = "max_tokens"
        case maxCompletionTokens = "max_completion_tokens"
    }

    /// How a reasoning model is told how much to think.
    enum Thinking: String, Sendable, CaseIterable {
        /// It is not told.
        case none
        /// `reasoning_effort`.
        case reasoningEffort
        /// `reasoning: {effort}`, as OpenRouter wants it.
        case reasoningObject
        /// `enable_thinking`, as Qwen's and Z.ai's servers want it.
        case enableThinking
        /// `chat_template_kwargs: {enable_thinking}`, as llama.cpp and vLLM want it.
        case chatTemplate
    }

    /// What the server accepts as the id of a tool call.
    enum ToolCallIDs: String, Sendable, CaseIterable {
        case fortyCharacters
        /// Nine letters and digits, as Mistral wants them.
        case nineCharacters
    }

    var maxTokensField = MaxTokensField.maxTokens
    var thinking = Thinking.none
    /// Instructions for reasoning models go into the role `developer`.
    var hasDeveloperRole = false
    /// `store` is known, and is sent as false: Tau keeps the conversation itself.
    var hasStore = false
    /// `strict` is known in tool definitions.
    var hasStrictTools = false
    var hasPromptCacheKey = false
    /// `stream_options.include_usage` is known; where it is not, usage comes without being asked for.
    var hasStreamedUsage = true
    /// Anthropic's `cache_control` is known for Claude models.
    var hasCacheControl = false
    /// An empty list of tools is accepted, which proxies to other APIs need when the history has calls.
    var hasEmptyTools = true
    /// Earlier reasoning goes back as text; otherwise in the field that it came in.
    var sendsThinkingAsText = false
    /// The result of a call names its tool.
    var namesToolResults = false
    /// The user may not speak right after a tool.
    var needsAnswerAfterToolResults = false
    var toolCallIDs = ToolCallIDs.fortyCharacters

    /// What every compatible server is expected to understand.
    static let conservative = ChatCompatibility()
    /// What api.openai.com understands.
    static let openAI = ChatCompatibility(
        maxTokensField: .maxCompletionTokens, thinking: .reasoningEffort, hasDeveloperRole: true, hasStore: true,
        hasStrictTools: true, hasPromptCacheKey: true)

    /// Takes one switch over from the configuration. `setting` is its whole name, for errors.
    mutating func set(_ name: String, to value: JSONValue, _ setting: String) throws(ProvidersConfigurationError) {
        func bool() throws(ProvidersConfigurationError) -> Bool {
            guard let bool = value.bool else { throw ProvidersConfigurationError(setting, "must be true or false") }
            return bool
        }
        func choice<Choice: RawRepresentable & CaseIterable>() throws(ProvidersConfigurationError) -> Choice
        where Choice.RawValue == String {
            guard let choice = value.string.flatMap(Choice.init(rawValue:)) else {
                let choices = Choice.allCases.map(\.rawValue).joined(separator: ", ")
                throw ProvidersConfigurationError(setting, "must be one of \(choices)")
            }
            return choice
        }
        switch name {
        case "maxTokensField": maxTokensField = try choice()
        case "thinking": thinking = try choice()
        case "toolCallIDs": toolCallIDs = try choice()
        case "hasDeveloperRole": hasDeveloperRole = try bool()
        case "hasStore": hasStore = try bool()
        case "hasStrictTools": hasStrictTools = try bool()
        case "hasPromptCacheKey": hasPromptCacheKey = try bool()
        case "hasStreamedUsage": hasStreamedUsage = try bool()
        case "hasCacheControl": hasCacheControl = try bool()
        case "hasEmptyTools": hasEmptyTools = try bool()
        case "sendsThinkingAsText": sendsThinkingAsText = try bool()
        case "namesToolResults": namesToolResults = try bool()
        case "needsAnswerAfterToolResults": needsAnswerAfterToolResults = try bool()
        default: throw ProvidersConfigurationError(setting, "is no switch of the openai dialect")
        }
    }
}
