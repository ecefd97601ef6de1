/// Which model: the provider's name and the model's id, written `provider/id`.
public struct ModelReference: Hashable, Sendable, CustomStringConvertible {
    public var provider: String
    public var id: String

    public init(provider: String, id: String) {
        self.provider = provider
        self.id = id
    }

    /// Reads `provider/id`; the id may hold further slashes.
    public init?(_ text: String) {
        guard let slash = text.firstIndex(of: "/"), slash != text.startIndex, text.index(after: slash) != text.endIndex
        else { return nil }
        provider = String(text[..<slash])
        id = String(text[text.index(after: slash)...])
    }

    public var description: String { "\(provider)/\(id)" }
}

/// What the catalogue knows of a model.
public struct ModelDescription: Hashable, Sendable {
    /// A kind of content that a model takes.
    public enum Input: String, Sendable { case text, image }

    public var reference: ModelReference
    /// For people.
    public var name: String
    /// The dialect it is spoken to in, as stored on assistant messages: `anthropic-messages`, `openai-completions`, `scripted`.
    public var api: String
    /// Tokens of prompt and answer together.
    public var contextWindow: Int
    /// Tokens of one answer.
    public var maxOutputTokens: Int
    /// Every call is told `maxOutputTokens`, also where the provider has a bound of its own: the configuration asks for it.
    public var boundsAnswers = false
    public var inputs: [Input]
    public var supportsReasoning: Bool
    /// Nil where it is not known; the cost of a call is unknown then.
    public var prices: Prices?

    public init(
        reference: ModelReference, name: String, api: String, contextWindow: Int, maxOutputTokens: Int,
        inputs: [Input] = [.text], supportsReasoning: Bool = false, prices: Prices?
    ) {
        self.reference = reference
        self.name = name
        self.api = api
        self.contextWindow = contextWindow
        self.maxOutputTokens = maxOutputTokens
        self.inputs = inputs
        self.supportsReasoning = supportsReasoning
        self.prices = prices
    }
}

/// How much a model may think before it answers.
public enum ThinkingLevel: String, CaseIterable, Sendable {
    case off, minimal, low, medium, high, xhigh, max
}
