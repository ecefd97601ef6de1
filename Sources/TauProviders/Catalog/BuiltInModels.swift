internal import TauCore

/// The models that Tau knows, with their list prices in US dollars per million tokens as of July 2026.
enum BuiltInModels {
    static let scripted = ModelDescription(
        reference: ModelReference(provider: "scripted", id: "scripted"), name: "Scripted (offline)",
        api: ScriptedProvider.api, contextWindow: 128_000, maxOutputTokens: 8192, inputs: [.text, .image],
        prices: .free)

    static let anthropic = [
        claude("claude-opus-5", "Claude Opus 5", 1_000_000, 128_000, Prices(5, 25, 0.5, 6.25)),
        claude("claude-sonnet-5", "Claude Sonnet 5", 1_000_000, 128_000, Prices(2, 10, 0.2, 2.5)),
        claude("claude-fable-5", "Claude Fable 5", 1_000_000, 128_000, Prices(10, 50, 1, 12.5)),
        claude("claude-mythos-5", "Claude Mythos 5", 1_000_000, 128_000, Prices(10, 50, 1, 12.5)),
        claude("claude-opus-4-8", "Claude Opus 4.8", 1_000_000, 128_000, Prices(5, 25, 0.5, 6.25)),
        claude("claude-opus-4-7", "Claude Opus 4.7", 1_000_000, 128_000, Prices(5, 25, 0.5, 6.25)),
        claude("claude-opus-4-6", "Claude Opus 4.6", 1_000_000, 128_000, Prices(5, 25, 0.5, 6.25)),
        claude("claude-sonnet-4-6", "Claude Sonnet 4.6", 1_000_000, 64_000, Prices(3, 15, 0.3, 3.75)),
        claude("claude-opus-4-5", "Claude Opus 4.5", 200_000, 64_000, Prices(5, 25, 0.5, 6.25)),
        claude("claude-sonnet-4-5", "Claude Sonnet 4.5", 200_000, 64_000, Prices(3, 15, 0.3, 3.75)),
        claude("claude-haiku-4-5", "Claude Haiku 4.5", 200_000, 64_000, Prices(1, 5, 0.1, 1.25)),
        claude("claude-opus-4-1", "Claude Opus 4.1", 200_000, 32_000, Prices(15, 75, 1.5, 18.75)),
        claude("claude-opus-4-20250514", "Claude Opus 4", 200_000, 32_000, Prices(15, 75, 1.5, 18.75)),
        claude("claude-sonnet-4-20250514", "Claude Sonnet 4", 200_000, 64_000, Prices(3, 15, 0.3, 3.75)),
        claude("claude-3-7-sonnet-20250219", "Claude Sonnet 3.7", 200_000, 64_000, Prices(3, 15, 0.3, 3.75)),
        claude(
            "claude-3-5-sonnet-20241022", "Claude Sonnet 3.5", 200_000, 8192, Prices(3, 15, 0.3, 3.75), reasons: false),
        claude(
            "claude-3-5-haiku-20241022", "Claude Haiku 3.5", 200_000, 8192, Prices(0.8, 4, 0.08, 1), reasons: false),
    ]

    static let openAI = [
        gpt("gpt-5.6", "GPT-5.6", 1_050_000, 128_000, Prices(5, 30, 0.5, 6.25, above272k: Prices(10, 45, 1, 12.5))),
        gpt(
            "gpt-5.6-terra", "GPT-5.6 Terra", 400_000, 128_000,
            Prices(2.5, 15, 0.25, 3.125, above272k: Prices(5, 22.5, 0.5, 6.25))),
        gpt(
            "gpt-5.6-luna", "GPT-5.6 Luna", 400_000, 128_000,
            Prices(1, 6, 0.1, 1.25, above272k: Prices(2, 9, 0.2, 2.5))),
        gpt("gpt-5.5", "GPT-5.5", 1_050_000, 128_000, Prices(5, 30, 0.5, above272k: Prices(10, 45, 1))),
        gpt("gpt-5.4", "GPT-5.4", 1_050_000, 128_000, Prices(2.5, 15, 0.25, above272k: Prices(5, 22.5, 0.5))),
        gpt("gpt-5.4-mini", "GPT-5.4 mini", 400_000, 128_000, Prices(0.75, 4.5, 0.075)),
        gpt("gpt-5.4-nano", "GPT-5.4 nano", 400_000, 128_000, Prices(0.2, 1.25, 0.02)),
        gpt("gpt-5.3-codex", "GPT-5.3 Codex", 400_000, 128_000, Prices(1.75, 14, 0.175)),
        gpt("gpt-5.2", "GPT-5.2", 400_000, 128_000, Prices(1.75, 14, 0.175)),
        gpt("gpt-5.1", "GPT-5.1", 400_000, 128_000, Prices(1.25, 10, 0.125)),
        gpt("gpt-5", "GPT-5", 400_000, 128_000, Prices(1.25, 10, 0.125)),
        gpt("gpt-5-mini", "GPT-5 mini", 400_000, 128_000, Prices(0.25, 2, 0.025)),
        gpt("gpt-5-nano", "GPT-5 nano", 400_000, 128_000, Prices(0.05, 0.4, 0.005)),
        gpt("gpt-4.1", "GPT-4.1", 1_047_576, 32_768, Prices(2, 8, 0.5), reasons: false),
        gpt("gpt-4.1-mini", "GPT-4.1 mini", 1_047_576, 32_768, Prices(0.4, 1.6, 0.1), reasons: false),
        gpt("gpt-4o", "GPT-4o", 128_000, 16_384, Prices(2.5, 10, 1.25), reasons: false),
        gpt("gpt-4o-mini", "GPT-4o mini", 128_000, 16_384, Prices(0.15, 0.6, 0.075), reasons: false),
        gpt("o3", "o3", 200_000, 100_000, Prices(2, 8, 0.5)),
        gpt("o4-mini", "o4-mini", 200_000, 100_000, Prices(1.1, 4.4, 0.275)),
    ]

    static let deepSeek = [
        deepSeek("deepseek-v4-pro", "DeepSeek V4 Pro", Prices(0.435, 0.87, 0.0036)),
        deepSeek("deepseek-v4-flash", "DeepSeek V4 Flash", Prices(0.14, 0.28, 0.0028)),
    ]

    static let all = anthropic + openAI + deepSeek + [scripted]

    /// A model that only its provider knows: no price, and a window that most models have.
    static func unlisted(_ reference: ModelReference, api: String) -> ModelDescription {
        ModelDescription(
            reference: reference, name: reference.id, api: api, contextWindow: 128_000, maxOutputTokens: 8192,
            prices: nil)
    }

    private static func claude(
        _ id: String, _ name: String, _ window: Int, _ maxOutputTokens: Int, _ prices: Prices, reasons: Bool = true
    ) -> ModelDescription {
        ModelDescription(
            reference: ModelReference(provider: "anthropic", id: id), name: name, api: AnthropicProvider.api,
            contextWindow: window, maxOutputTokens: maxOutputTokens, inputs: [.text, .image],
            supportsReasoning: reasons, prices: prices)
    }

    private static func gpt(
        _ id: String, _ name: String, _ window: Int, _ maxOutputTokens: Int, _ prices: Prices, reasons: Bool = true
    ) -> ModelDescription {
        ModelDescription(
            reference: ModelReference(provider: "openai", id: id), name: name, api: OpenAIChatProvider.api,
            contextWindow: window, maxOutputTokens: maxOutputTokens, inputs: [.text, .image],
            supportsReasoning: reasons, prices: prices)
    }

    private static func deepSeek(_ id: String, _ name: String, _ prices: Prices) -> ModelDescription {
        ModelDescription(
            reference: ModelReference(provider: "deepseek", id: id), name: name, api: OpenAIChatProvider.api,
            contextWindow: 1_000_000, maxOutputTokens: 8192, prices: prices)
    }
}

extension Prices {
    /// A row of the lists above: input, output, cached input read, cached input written.
    fileprivate init(
        _ input: Double, _ output: Double, _ cacheRead: Double, _ cacheWrite: Double = 0, above272k: Prices? = nil
    ) {
        self.init(
            input: input, output: output, cacheRead: cacheRead, cacheWrite: cacheWrite,
            tiers: above272k.map { [Tier(inputTokensAbove: 272_000, prices: $0)] } ?? [])
    }
}
