internal import AsyncHTTPClient
package import Logging
internal import NIOCore
package import TauCore

/// The models of the built-in providers: Anthropic and OpenAI if they are configured, and the scripted one always.
///
/// It owns the connections to the model servers; `shutdown` must be called when it is no longer needed.
package struct BuiltInCatalog: ModelCatalog {
    private let providers: [String: any ModelProvider]
    /// The dialect of models that the list does not have, by provider.
    private let apis: [String: String]
    private let defaultModel: ModelReference?
    private let tierModels: [ModelTier: ModelReference]
    private let client: HTTPClient?

    /// Reads the script, if there is one, and checks the configuration; connects to nothing yet.
    package init(
        _ configuration: ProvidersConfiguration, clock: any Clock<Duration> = ContinuousClock(), logger: Logger
    ) throws(ProvidersConfigurationError) {
        let script = try configuration.scriptPath.map { path throws(ProvidersConfigurationError) in
            try Script.load(path: path)
        }
        var addresses: [String: Endpoint] = [:]
        addresses["anthropic"] = try Self.endpoint(
            configuration.anthropicBaseURL, "ANTHROPIC_BASE_URL", standard: AnthropicProvider.standardBaseURL,
            key: configuration.anthropicKey, "ANTHROPIC_API_KEY")
        addresses["openai"] = try Self.endpoint(
            configuration.openAIBaseURL, "OPENAI_BASE_URL", standard: OpenAIChatProvider.standardBaseURL,
            key: configuration.openAIKey, "OPENAI_API_KEY")
        apis = ["anthropic": AnthropicProvider.api, "openai": OpenAIChatProvider.api].filter {
            addresses[$0.key] != nil
        }
        let names = Set(addresses.keys).union([ScriptedProvider.name])
        defaultModel = try Self.reference(configuration.defaultModel, "models.default", names)
        var tierModels: [ModelTier: ModelReference] = [:]
        tierModels[.simple] = try Self.reference(configuration.simpleModel, "models.simple", names)
        tierModels[.medium] = try Self.reference(configuration.mediumModel, "models.medium", names)
        tierModels[.complex] = try Self.reference(configuration.complexModel, "models.complex", names)
        self.tierModels = tierModels

        // Last, as a client that is not shut down is a programming error.
        var providers: [String: any ModelProvider] = [
            ScriptedProvider.name: ScriptedProvider(script: script, clock: clock)
        ]
        let client = addresses.isEmpty ? nil : HTTPClient(configuration: .init(configuration))
        self.client = client
        if let client {
            let limits = ModelServer.Limits(
                maxAnswerBytes: configuration.maxAnswerBytes, maxEventBytes: configuration.maxEventBytes)
            func server(_ endpoint: Endpoint, _ key: String?) -> ModelServer {
                ModelServer(
                    client: client, endpoint: endpoint, key: key, limits: limits, clock: clock, logger: logger)
            }
            providers["anthropic"] = addresses["anthropic"].map {
                AnthropicProvider(server: server($0, configuration.anthropicKey))
            }
            providers["openai"] = addresses["openai"].map {
                OpenAIChatProvider(server: server($0, configuration.openAIKey))
            }
        }
        self.providers = providers
    }

    /// Closes the connections to the model servers. No model call may be running or begin any more.
    package func shutdown() async {
        // It fails only if it has been called before.
        try? await client?.shutdown()
    }

    package var listings: [ModelListing] {
        BuiltInModels.all.map { ModelListing(model: $0, isAvailable: providers[$0.reference.provider] != nil) }
    }

    package func model(_ reference: ModelReference) -> ModelDescription? {
        if let listed = BuiltInModels.all.first(where: { $0.reference == reference }) { return listed }
        return apis[reference.provider].map { BuiltInModels.unlisted(reference, api: $0) }
    }

    package func automaticChoice(for message: UserMessage) -> ModelDescription? {
        if let defaultModel { return model(defaultModel) }
        let tier = ModelTier(of: message.content.joinedText)
        if let configured = tierModels[tier] { return model(configured) }
        if apis["anthropic"] != nil { return model(ModelReference(provider: "anthropic", id: tier.anthropicModel)) }
        if apis["openai"] != nil { return model(ModelReference(provider: "openai", id: tier.openAIModel)) }
        return BuiltInModels.scripted
    }

    package func provider(named name: String) -> (any ModelProvider)? { providers[name] }

    // MARK: Checks

    /// Nil if the provider is not configured.
    private static func endpoint(
        _ address: String?, _ addressName: String, standard: String, key: String?, _ keyName: String
    ) throws(ProvidersConfigurationError) -> Endpoint? {
        guard address != nil || key != nil else { return nil }
        if let key, !key.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) || key.isEmpty {
            throw ProvidersConfigurationError(keyName, "must be one word of ASCII characters")
        }
        guard let endpoint = Endpoint(address ?? standard) else {
            throw ProvidersConfigurationError(addressName, "must be an http or https address with a host")
        }
        return endpoint
    }

    private static func reference(
        _ text: String, _ setting: String, _ providers: Set<String>
    ) throws(ProvidersConfigurationError) -> ModelReference? {
        guard text != ProvidersConfiguration.automatic else { return nil }
        guard let reference = ModelReference(text) else {
            throw ProvidersConfigurationError(setting, "must be \"auto\" or provider/model, not \"\(text)\"")
        }
        guard providers.contains(reference.provider) else {
            let known = providers.sorted().joined(separator: ", ")
            throw ProvidersConfigurationError(
                setting, "names the provider \"\(reference.provider)\", but configured are: \(known)")
        }
        guard reference.provider != ScriptedProvider.name || reference == BuiltInModels.scripted.reference else {
            throw ProvidersConfigurationError(setting, "names a model that the scripted provider does not have")
        }
        return reference
    }
}

extension HTTPClient.Configuration {
    fileprivate init(_ configuration: ProvidersConfiguration) {
        self.init(
            // A key must not travel to another host.
            redirectConfiguration: .disallow,
            timeout: Timeout(
                connect: TimeAmount(configuration.connectTimeout), read: TimeAmount(configuration.idleTimeout)))
        connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = configuration.maxConnectionsPerHost
        // Whoever called decides whether to try again.
        connectionPool.retryConnectionEstablishment = false
        // One connection a call: an HTTP/2 server may queue the streams of one connection.
        httpVersion = .http1Only
    }
}
