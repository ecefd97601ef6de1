package import TauCore

/// What of the model providers can be configured.
package struct ProvidersConfiguration: Sendable {
    /// The reference that leaves the choice to Tau.
    package static let automatic = "auto"

    /// The providers that can be used, by name. Those that `KnownProviders` knows need no more than a key or an address.
    package var providers: [String: ProviderSettings] = [:]
    /// A file with the replies of the scripted provider (see `Script`); nil for the built-in demonstration.
    package var scriptPath: String?

    /// The model of sessions that name none: `provider/id`, or `auto` to choose by the message.
    package var defaultModel = automatic
    /// The models that `auto` chooses from; one that is missing is the first configured provider's own.
    package var tierModels: [ModelTier: String] = [:]
    /// The models that take over when one of a tier is overloaded or out, in this order.
    package var tierFallbacks: [ModelTier: [String]] = [:]
    /// The same for `defaultModel`.
    package var defaultFallbacks: [String] = []
    package var rules = TierRules()

    package var connectTimeout = Duration.seconds(10)
    /// How long a model server may send nothing at all.
    package var idleTimeout = Duration.seconds(120)
    /// Bytes of one streamed answer.
    package var maxAnswerBytes = 64 << 20
    /// Bytes of one event of an answer.
    package var maxEventBytes = 8 << 20
    /// Connections to one host at a time; further calls wait.
    package var maxConnectionsPerHost = 1024

    package init() {}
}

/// One provider: an address, a key, and how its server differs from others.
package struct ProviderSettings: Sendable {
    /// The dialect that a server speaks.
    package enum API: String, Sendable, CaseIterable {
        /// Anthropic Messages.
        case anthropic
        /// OpenAI Chat Completions.
        case openai
    }

    /// Nil for what is known of the provider, or `openai`.
    package var api: API?
    /// Nil for the known one.
    package var baseURL: String?
    /// Nil where the server needs none.
    package var key: String?
    /// Sent with every request beside what the dialect asks for.
    package var headers: [String: String] = [:]
    package var maxConcurrentCalls: Int?
    /// What of the dialect the server understands, where it is not what is known or assumed.
    package var compatibility: [String: JSONValue] = [:]
    /// Models of its own, and what is different about known ones.
    package var models: [String: ModelSettings] = [:]

    package init() {}
}

/// What is said of one model; nil leaves what is known, or assumed of an unknown one.
package struct ModelSettings: Sendable {
    package var name: String?
    /// Tokens.
    package var contextWindow: Int?
    /// Tokens.
    package var maxOutputTokens: Int?
    package var inputs: [ModelDescription.Input]?
    package var supportsReasoning: Bool?
    package var prices: Prices?

    package init() {}

    func applied(to model: ModelDescription) -> ModelDescription {
        var model = model
        model.name = name ?? model.name
        model.contextWindow = contextWindow ?? model.contextWindow
        model.boundsAnswers = maxOutputTokens != nil
        model.maxOutputTokens = maxOutputTokens ?? min(model.maxOutputTokens, model.contextWindow)
        model.inputs = inputs ?? model.inputs
        model.supportsReasoning = supportsReasoning ?? model.supportsReasoning
        model.prices = prices ?? model.prices
        return model
    }
}

/// Why the providers cannot be set up. Never holds a key.
package struct ProvidersConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is set wrongly, by its name in the configuration or the environment.
    package var setting: String
    package var problem: String

    package init(_ setting: String, _ problem: String) {
        self.setting = setting
        self.problem = problem
    }

    package var description: String { "\(setting) \(problem)" }
}
