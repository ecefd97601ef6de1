public import Logging
public import TauCore
package import TauProviders

/// The models that an agent can use.
public struct AgentModels: Sendable {
    let catalog: any ModelCatalog
    private let end: @Sendable () async -> Void

    package func close() async { await end() }

    /// A catalogue of one's own.
    public init(catalog: any ModelCatalog) {
        self.catalog = catalog
        end = {}
    }

    package init(_ configuration: ProvidersConfiguration, logger: Logger) throws(ProvidersConfigurationError) {
        let catalog = try ProviderCatalog(configuration, logger: logger)
        self.catalog = catalog
        end = { await catalog.shutdown() }
    }

    /// A provider of one's own, with its models: the first one answers where a session names none, the others take over
    /// from it, in their order, when it is out.
    public static func provider(_ provider: any ModelProvider, models: [ModelDescription]) -> AgentModels {
        AgentModels(catalog: SingleProvider(provider: provider, models: models))
    }

    /// The offline model that follows a script, or gives a demonstration.
    public static func scripted(script path: String? = nil, logger: Logger = Logger(label: "tau")) throws -> AgentModels
    {
        var configuration = ProvidersConfiguration()
        configuration.scriptPath = path
        return try AgentModels(configuration, logger: logger)
    }

    /// One of the providers that Tau knows (`anthropic`, `openai`, `openrouter`, …), or any server of the Chat Completions API.
    ///
    /// `model` answers where a session names none; nil leaves the choice to Tau, message by message.
    public static func known(
        _ name: String, key: String?, baseURL: String? = nil, model: String? = nil,
        logger: Logger = Logger(label: "tau")
    ) throws -> AgentModels {
        var settings = ProviderSettings()
        settings.key = key
        settings.baseURL = baseURL
        var configuration = ProvidersConfiguration()
        configuration.providers[name] = settings
        if let model { configuration.defaultModel = "\(name)/\(model)" }
        return try AgentModels(configuration, logger: logger)
    }
}

private struct SingleProvider: ModelCatalog {
    let provider: any ModelProvider
    let models: [ModelDescription]

    var listings: [ModelListing] { models.map { ModelListing(model: $0, isAvailable: true) } }

    func model(_ reference: ModelReference) -> ModelDescription? { models.first { $0.reference == reference } }

    func choose(for task: ModelTask) -> ModelSelection? {
        models.first.map { ModelSelection(model: $0, fallbacks: Array(models.dropFirst())) }
    }

    func provider(named name: String) -> (any ModelProvider)? { name == provider.name ? provider : nil }
}
