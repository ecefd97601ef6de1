/// How demanding a message is, guessed from its text.
enum ModelTier: Sendable, Hashable {
    case simple, medium, complex

    private static let complexWords = ["refactor", "architect", "重构", "重構", "架构", "架構"]
    private static let simpleLength = 100

    init(of text: String) {
        let words = text.lowercased()
        // A demanding word counts in a short message too: Chinese ones are nearly always short.
        if Self.complexWords.contains(where: words.contains) {
            self = .complex
        } else {
            self = text.count < Self.simpleLength ? .simple : .medium
        }
    }

    /// Each provider's model of this tier.
    var anthropicModel: String {
        switch self {
        case .simple: "claude-3-5-haiku-20241022"
        case .medium: "claude-3-5-sonnet-20241022"
        case .complex: "claude-opus-4-20250514"
        }
    }

    var openAIModel: String {
        switch self {
        case .simple: "gpt-5-nano"
        case .medium: "gpt-5-mini"
        case .complex: "gpt-5"
        }
    }
}
