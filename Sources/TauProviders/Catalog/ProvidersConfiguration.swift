/// What of the model providers can be configured.
public struct ProvidersConfiguration: Sendable {
    /// The reference that leaves the choice to Tau.
    public static let automatic = "auto"

    /// A provider counts as configured if its key or its address is set: local servers need no key.
    public var anthropicKey: String?
    /// Nil for Anthropic's own.
    public var anthropicBaseURL: String?
    public var openAIKey: String?
    /// Any server of the Chat Completions API; nil for OpenAI's own.
    public var openAIBaseURL: String?
    /// A file with the replies of the scripted provider (see `Script`); nil for the built-in demonstration.
    public var scriptPath: String?

    /// The model of sessions that name none: `provider/id`, or `auto` to choose by the message.
    public var defaultModel = automatic
    /// The models that `auto` chooses from; `auto` for the first configured provider's own.
    public var simpleModel = automatic
    public var mediumModel = automatic
    public var complexModel = automatic

    public var connectTimeout = Duration.seconds(10)
    /// How long a model server may send nothing at all.
    public var idleTimeout = Duration.seconds(120)
    /// Bytes of one streamed answer.
    public var maxAnswerBytes = 64 << 20
    /// Bytes of one event of an answer.
    public var maxEventBytes = 8 << 20
    /// Model calls to one host at a time; further ones wait.
    public var maxConnectionsPerHost = 1024

    public init() {}
}

/// Why the providers cannot be set up. Never holds a key.
public struct ProvidersConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is set wrongly, by its name in the configuration or the environment.
    public var setting: String
    public var problem: String

    public init(_ setting: String, _ problem: String) {
        self.setting = setting
        self.problem = problem
    }

    public var description: String { "\(setting) \(problem)" }
}
