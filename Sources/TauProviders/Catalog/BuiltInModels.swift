internal import TauCore

/// The models that Tau knows, with their prices in US dollars per million tokens.
enum BuiltInModels {
    static let scripted = ModelDescription(
        reference: ModelReference(provider: "scripted", id: "scripted"), name: "Scripted (offline)",
        api: ScriptedProvider.api, contextWindow: 128_000, maxOutputTokens: 8192, inputs: [.text, .image],
        prices: .free)

    static let anthropic = [
        claude("claude-opus-4-6", "Claude Opus 4.6", 128_000, Prices(5, 25, 0.5, 6.25)),
        claude("claude-opus-4-5", "Claude Opus 4.5", 64_000, Prices(5, 25, 0.5, 6.25)),
        claude("claude-opus-4-1", "Claude Opus 4.1", 32_000, Prices(15, 75, 1.5, 18.75)),
        claude("claude-opus-4-20250514", "Claude Opus 4", 32_000, Prices(15, 75, 1.5, 18.75)),
        claude("claude-sonnet-4-6", "Claude Sonnet 4.6", 64_000, Prices(3, 15, 0.3, 3.75)),
        claude("claude-sonnet-4-5", "Claude Sonnet 4.5", 64_000, Prices(3, 15, 0.3, 3.75)),
        claude("claude-sonnet-4-20250514", "Claude Sonnet 4", 64_000, Prices(3, 15, 0.3, 3.75)),
        claude("claude-3-7-sonnet-20250219", "Claude Sonnet 3.7", 64_000, Prices(3, 15, 0.3, 3.75)),
        claude(
            "claude-3-5-sonnet-20241022", "Claude Sonnet 3.5", 8192, Prices(3, 15, 0.3, 3.75), reasons: false),
        claude("claude-haiku-4-5", "Claude Haiku 4.5", 64_000, Prices(1, 5, 0.1, 1.25)),
        claude("claude-3-5-haiku-20241022", "Claude Haiku 3.5", 8192, Prices(0.8, 4, 0.08, 1), reasons: false),
    ]

    static let openAI = [
        gpt("gpt-5", "GPT-5", 400_000, 128_000, Prices(1.25, 10, 0.125), reasons: true),
        gpt("gpt-5-mini", "GPT-5 mini", 400_000, 128_000, Prices(0.25, 2, 0.025), reasons: true),
        gpt("gpt-5-nano", "GPT-5 nano", 400_000, 128_000, Prices(0.05, 0.4, 0.005), reasons: true),
        gpt("gpt-4.1", "GPT-4.1", 1_047_576, 32_768, Prices(2, 8, 0.5)),
        gpt("gpt-4.1-mini", "GPT-4.1 mini", 1_047_576, 32_768, Prices(0.4, 1.6, 0.1)),
        gpt("gpt-4o", "GPT-4o", 128_000, 16_384, Prices(2.5, 10, 1.25)),
        gpt("gpt-4o-mini", "GPT-4o mini", 128_000, 16_384, Prices(0.15, 0.6, 0.075)),
        gpt("o3", "o3", 200_000, 100_000, Prices(2, 8, 0.5), reasons: true),
        gpt("o4-mini", "o4-mini", 200_000, 100_000, Prices(1.1, 4.4, 0.275), reasons: true),
    ]

    static let all = anthropic + openAI + [scripted]

    /// A model that only its provider knows: no price, and a window that most models have.
    static func unlisted(_ reference: ModelReference, api: String) -> ModelDescription {
        ModelDescription(
            reference: reference, name: reference.id, api: api, contextWindow: 128_000, maxOutputTokens: 8192,
            prices: nil)
    }

    private static func claude(
        _ id: String, _ name: String, _ maxOutputTokens: Int, _ prices: Prices, reasons: Bool = true
    ) -> ModelDescription {
        ModelDescription(
            reference: ModelReference(provider: "anthropic", id: id), name: name, api: AnthropicProvider.api,
            contextWindow: 200_000, maxOutputTokens: maxOutputTokens, inputs: [.text, .image],
            supportsReasoning: reasons, prices: prices)
    }

    private static func gpt(
        _ id: String, _ name: String, _ window: Int, _ maxOutputTokens: Int, _ prices: Prices, reasons: Bool = false
    ) -> ModelDescription {
        ModelDescription(
            reference: ModelReference(provider: "openai", id: id), name: name, api: OpenAIChatProvider.api,
            contextWindow: window, maxOutputTokens: maxOutputTokens, inputs: [.text, .image],
            supportsReasoning: reasons, prices: prices)
    }
}

extension Prices {
    /// A row of the list above: input, output, cached input read, cached input written.
    fileprivate init(_ input: Double, _ output: Double, _ cacheRead: Double, _ cacheWrite: Double = 0) {
        self.init(input: input, output: output, cacheRead: cacheRead, cacheWrite: cacheWrite)
    }
}
