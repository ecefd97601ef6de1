/// What of the model providers can be configured.
package struct ProvidersConfiguration: Sendable {
    /// The reference that leaves the choice to Tau.
    package static let automatic = "auto"

    /// A provider counts as configured if its key or its address is set: local servers need no key.
    package var anthropicKey: String?
    /// Nil for Anthropic's own.
    package var anthropicBaseURL: String?
    package var openAIKey: String?
    /// Any server of the Chat Completions API; nil for OpenAI's own.
    package var openAIBaseURL: String?
    /// A file with the replies of the scripted provider (see `Script`); nil for the built-in demonstration.
    package var scriptPath: String?

    /// The model of sessions that name none: `provider/id`, or `auto` to choose by the message.
    package var defaultModel = automatic
    /// The models that `auto` chooses from; `auto` for the first configured provider's own.
    package var simpleModel = automatic
    package var mediumModel = automatic
    package var complexModel = automatic

    package var connectTimeout = Duration.seconds(10)
    /// How long a model server may send nothing at all.
    package var idleTimeout = Duration.seconds(120)
    /// Bytes of one streamed answer.
    package var maxAnswerBytes = 64 << 20
    /// Bytes of one event of an answer.
    package var maxEventBytes = 8 << 20
    /// Model calls to one host at a time; further ones wait.
    package var maxConnectionsPerHost = 1024

    package init() {}
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
