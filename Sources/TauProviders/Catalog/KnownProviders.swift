/// Providers whose address and habits are known: with them a key is all that is needed.
package struct KnownProvider: Sendable {
    package let name: String
    let api: ProviderSettings.API
    let baseURL: String
    /// A part of the host's name by which other addresses are recognised.
    var hosts: [String] = []
    var compatibility = ChatCompatibility.conservative
    /// The models that `auto` chooses from.
    var tierModels: [ModelTier: String] = [:]

    /// In the order in which `auto` prefers them.
    package static let all = [anthropic, openAI, openRouter, groq, deepSeek, mistral, llamaCpp, vLLM, ollama]

    package static func named(_ name: String) -> KnownProvider? { all.first { $0.name == name } }

    /// The one whose server a host is.
    static func of(host: String) -> KnownProvider? {
        all.first { known in known.hosts.contains { host == $0 || host.hasSuffix("." + $0) } }
    }

    /// The variables that set the provider up: `<NAME>_API_KEY` and `<NAME>_BASE_URL`.
    package static func variable(_ name: String, _ suffix: String) -> String {
        String(name.uppercased().map { $0.isLetter || $0.isNumber ? $0 : "_" }) + "_" + suffix
    }

    static let anthropic = KnownProvider(
        name: "anthropic", api: .anthropic, baseURL: "https://api.anthropic.com", hosts: ["anthropic.com"],
        tierModels: [
            .simple: "claude-3-5-haiku-20241022", .medium: "claude-3-5-sonnet-20241022",
            .complex: "claude-opus-4-20250514",
        ])
    static let openAI = KnownProvider(
        name: "openai", api: .openai, baseURL: "https://api.openai.com/v1", hosts: ["openai.com"],
        compatibility: .openAI, tierModels: [.simple: "gpt-5-nano", .medium: "gpt-5-mini", .complex: "gpt-5"])

    static let openRouter = KnownProvider(
        name: "openrouter", api: .openai, baseURL: "https://openrouter.ai/api/v1", hosts: ["openrouter.ai"],
        compatibility: ChatCompatibility(thinking: .reasoningObject, hasCacheControl: true))
    static let groq = KnownProvider(
        name: "groq", api: .openai, baseURL: "https://api.groq.com/openai/v1", hosts: ["groq.com"],
        compatibility: ChatCompatibility(
            maxTokensField: .maxCompletionTokens, thinking: .reasoningEffort, hasEmptyTools: false))
    static let deepSeek = KnownProvider(
        name: "deepseek", api: .openai, baseURL: "https://api.deepseek.com/v1", hosts: ["deepseek.com"],
        compatibility: ChatCompatibility(hasEmptyTools: false),
        tierModels: [.simple: "deepseek-v4-flash", .medium: "deepseek-v4-flash", .complex: "deepseek-v4-pro"])
    static let mistral = KnownProvider(
        name: "mistral", api: .openai, baseURL: "https://api.mistral.ai/v1", hosts: ["mistral.ai"],
        compatibility: ChatCompatibility(
            hasStreamedUsage: false, hasEmptyTools: false, sendsThinkingAsText: true, namesToolResults: true,
            needsAnswerAfterToolResults: true, toolCallIDs: .nineCharacters))

    // Local servers; their models are what was loaded into them.
    static let llamaCpp = KnownProvider(
        name: "llamacpp", api: .openai, baseURL: "http://127.0.0.1:8080/v1",
        compatibility: ChatCompatibility(thinking: .chatTemplate))
    static let vLLM = KnownProvider(
        name: "vllm", api: .openai, baseURL: "http://127.0.0.1:8000/v1",
        compatibility: ChatCompatibility(thinking: .chatTemplate, hasEmptyTools: false))
    static let ollama = KnownProvider(
        name: "ollama", api: .openai, baseURL: "http://127.0.0.1:11434/v1",
        compatibility: ChatCompatibility(thinking: .reasoningEffort, hasEmptyTools: false))
}
