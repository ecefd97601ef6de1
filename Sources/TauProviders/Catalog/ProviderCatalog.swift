internal import AsyncHTTPClient
package import Logging
internal import NIOCore
internal import NIOHTTP1
package import TauCore

/// The models of the configured providers, and of the scripted one.
///
/// It owns the connections to the model servers; `shutdown` must be called when it is no longer needed.
package struct ProviderCatalog: ModelCatalog {
    private let providers: [String: any ModelProvider]
    /// The dialect of models that the list does not have, by provider.
    private let apis: [String: String]
    private let models: [ModelReference: ModelDescription]
    package let listings: [ModelListing]
    private let selections: ModelSelections
    private let client: HTTPClient?

    /// Reads the script, if there is one, and checks the configuration; connects to nothing yet.
    package init(
        _ configuration: ProvidersConfiguration, clock: any Clock<Duration> = ContinuousClock(), logger: Logger
    ) throws(ProvidersConfigurationError) {
        let script = try configuration.scriptPath.map { path throws(ProvidersConfigurationError) in
            try Script.load(path: path)
        }
        var connections: [ProviderConnection] = []
        for (name, settings) in configuration.providers.sorted(by: { $0.key < $1.key }) {
            connections.append(try ProviderConnection(name, settings))
        }
        var apis: [String: String] = [:]
        for connection in connections { apis[connection.name] = connection.api }
        self.apis = apis
        let names = Set(apis.keys).union([ScriptedProvider.name])

        let all = Self.models(configuration, apis)
        listings = all.map { ModelListing(model: $0, isAvailable: names.contains($0.reference.provider)) }
        models = Dictionary(all.map { ($0.reference, $0) }) { first, _ in first }
        selections = try ModelSelections(configuration, providers: names)

        // Last, as a client that is not shut down is a programming error.
        var providers: [String: any ModelProvider] = [
            ScriptedProvider.name: ScriptedProvider(script: script, clock: clock)
        ]
        let client = connections.isEmpty ? nil : HTTPClient(configuration: .init(configuration))
        self.client = client
        if let client {
            let limits = ModelServer.Limits(
                maxAnswerBytes: configuration.maxAnswerBytes, maxEventBytes: configuration.maxEventBytes)
            for connection in connections {
                let server = ModelServer(
                    client: client, endpoint: connection.endpoint, key: connection.key, headers: connection.headers,
                    limits: limits, clock: clock, logger: logger)
                providers[connection.name] = connection.provider(over: server)
            }
        }
        self.providers = providers
    }

    /// Closes the connections to the model servers. No model call may be running or begin any more.
    package func shutdown() async {
        // It fails only if it has been called before.
        try? await client?.shutdown()
    }

    package func model(_ reference: ModelReference) -> ModelDescription? {
        models[reference] ?? apis[reference.provider].map { BuiltInModels.unlisted(reference, api: $0) }
    }

    package func choose(for task: ModelTask) -> ModelSelection? {
        let (reference, choice, fallbacks) = selections.choose(for: task)
        guard let model = model(reference) else { return nil }
        return ModelSelection(model: model, choice: choice, fallbacks: fallbacks.compactMap(self.model))
    }

    package func provider(named name: String) -> (any ModelProvider)? { providers[name] }

    /// What is known, as the configuration changes it, and what it adds.
    private static func models(
        _ configuration: ProvidersConfiguration, _ apis: [String: String]
    ) -> [ModelDescription] {
        var all: [ModelDescription] = []
        for model in BuiltInModels.all {
            let settings = configuration.providers[model.reference.provider]?.models[model.reference.id]
            all.append(settings?.applied(to: model) ?? model)
        }
        let known = Set(all.map(\.reference))
        for (provider, settings) in configuration.providers.sorted(by: { $0.key < $1.key }) {
            for (id, model) in settings.models.sorted(by: { $0.key < $1.key }) {
                let reference = ModelReference(provider: provider, id: id)
                guard !known.contains(reference), let api = apis[provider] else { continue }
                all.append(model.applied(to: BuiltInModels.unlisted(reference, api: api)))
            }
        }
        return all
    }
}

/// What it takes to speak to one provider, checked.
private struct ProviderConnection {
    let name: String
    let endpoint: Endpoint
    let key: String?
    let headers: HTTPHeaders
    private let dialect: ProviderSettings.API
    private let compatibility: ChatCompatibility
    private let maxConcurrentCalls: Int?

    init(_ name: String, _ settings: ProviderSettings) throws(ProvidersConfigurationError) {
        let setting = "models.providers.\(name)"
        guard name != ScriptedProvider.name, !name.contains("/"), !name.isEmpty else {
            throw ProvidersConfigurationError(setting, "cannot be the name of a provider")
        }
        let known = KnownProvider.named(name)
        guard let address = settings.baseURL ?? known?.baseURL else {
            throw ProvidersConfigurationError(setting + ".baseUrl", "is missing: nobody knows where \(name) is")
        }
        guard let endpoint = Endpoint(address) else {
            throw ProvidersConfigurationError(
                setting + ".baseUrl (\(KnownProvider.variable(name, "BASE_URL")))",
                "must be an http or https address with a host")
        }
        if let key = settings.key, !key.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) || key.isEmpty {
            throw ProvidersConfigurationError(
                KnownProvider.variable(name, "API_KEY"), "must be one word of ASCII characters")
        }
        self.name = name
        self.endpoint = endpoint
        key = settings.key
        var headers = HTTPHeaders()
        for (field, value) in settings.headers.sorted(by: { $0.key < $1.key }) {
            let isSafe = field.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
            guard isSafe, !field.isEmpty, value.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) else {
                throw ProvidersConfigurationError(setting + ".headers", "has a field that cannot be sent")
            }
            headers.replaceOrAdd(name: field, value: value)
        }
        self.headers = headers
        dialect = settings.api ?? known?.api ?? .openai
        // A known server may be reached under another name, and a known name may be given another server.
        let byHost = KnownProvider.of(host: endpoint.host)
        var compatibility = byHost?.compatibility ?? .conservative
        if byHost == nil, let known, known.hosts.isEmpty { compatibility = known.compatibility }
        for (name, value) in settings.compatibility.sorted(by: { $0.key < $1.key }) {
            try compatibility.set(name, to: value, "\(setting).compatibility.\(name)")
        }
        self.compatibility = compatibility
        maxConcurrentCalls = settings.maxConcurrentCalls
    }

    /// As it stands on assistant messages.
    var api: String {
        switch dialect {
        case .anthropic: AnthropicProvider.api
        case .openai: OpenAIChatProvider.api
        }
    }

    func provider(over server: ModelServer) -> any ModelProvider {
        switch dialect {
        case .anthropic: AnthropicProvider(name: name, server: server, maxConcurrentCalls: maxConcurrentCalls)
        case .openai:
            OpenAIChatProvider(
                name: name, server: server, compatibility: compatibility, maxConcurrentCalls: maxConcurrentCalls)
        }
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
