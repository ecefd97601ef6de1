import TauCore
import Testing

@testable import TauProviders

struct CatalogTests {
    private func withCatalog(
        _ configure: (inout ProvidersConfiguration) -> Void, _ test: (ProviderCatalog) throws -> Void
    ) async throws {
        var configuration = ProvidersConfiguration()
        configure(&configuration)
        let catalog = try ProviderCatalog(configuration, logger: quiet)
        let result = Result { try test(catalog) }
        await catalog.shutdown()
        try result.get()
    }

    private func choice(_ catalog: ProviderCatalog, _ text: String) -> String? {
        catalog.choose(for: ModelTask(message: UserMessage(content: [.text(text)], timestamp: noTime)))?.model.reference
            .description
    }

    @Test func `without a key only the scripted model is there`() async throws {
        try await withCatalog { _ in
        } _: { catalog in
            let available = catalog.listings.filter(\.isAvailable).map(\.model.reference.description)
            #expect(available == ["scripted/scripted"])
            #expect(choice(catalog, "Refactor everything") == "scripted/scripted")
            #expect(catalog.provider(named: "anthropic") == nil)
            #expect(catalog.model(ModelReference(provider: "anthropic", id: "unlisted")) == nil)
            #expect(catalog.model(ModelReference(provider: "anthropic", id: "claude-opus-4-5")) != nil)
        }
    }

    @Test func `a key or an address makes a provider available`() async throws {
        for configure: (inout ProvidersConfiguration) -> Void in [
            { $0.use("openai", key: "sk") }, { $0.use("openai", baseURL: "http://localhost:8081") },
        ] {
            try await withCatalog(configure) { catalog in
                #expect(
                    catalog.listings.allSatisfy {
                        $0.isAvailable == ["openai", "scripted"].contains($0.model.reference.provider)
                    })
                #expect(catalog.provider(named: "openai")?.name == "openai")
                let local = try #require(catalog.model(ModelReference(provider: "openai", id: "my/model")))
                #expect(local.prices == nil)
                #expect(local.contextWindow == 128_000)
                #expect(local.maxOutputTokens == 8192)
                #expect(local.api == "openai-completions")
            }
        }
    }

    @Test func `the message chooses the model`() async throws {
        let long = String(repeating: "word ", count: 30)
        try await withCatalog {
            $0.use("anthropic", key: "sk")
        } _: { catalog in
            #expect(choice(catalog, "Hi") == "anthropic/claude-3-5-haiku-20241022")
            #expect(choice(catalog, long) == "anthropic/claude-3-5-sonnet-20241022")
            #expect(choice(catalog, long + "Refactor it") == "anthropic/claude-opus-4-20250514")
            #expect(choice(catalog, "请重构这个模块") == "anthropic/claude-opus-4-20250514")
        }
        try await withCatalog {
            $0.use("openai", key: "sk")
            $0.tierModels[.medium] = "openai/gpt-4o"
        } _: { catalog in
            #expect(choice(catalog, "Hi") == "openai/gpt-5-nano")
            #expect(choice(catalog, long) == "openai/gpt-4o")
            #expect(choice(catalog, "The architecture?") == "openai/gpt-5")
        }
        try await withCatalog {
            $0.use("openai", key: "sk")
            $0.defaultModel = "openai/o3"
        } _: { catalog in
            #expect(choice(catalog, "Hi") == "openai/o3")
        }
    }

    @Test(arguments: [
        ("gpt-4o", "models.default must be \"auto\" or provider/model, not \"gpt-4o\""),
        (
            "anthropic/claude-opus-4-5",
            "models.default names the provider \"anthropic\", but configured are: openai, scripted"
        ),
        ("scripted/x", "models.default names a model that the scripted provider does not have"),
    ])
    func `a default that cannot be used is refused`(_ reference: String, _ message: String) {
        var configuration = ProvidersConfiguration()
        configuration.use("openai", key: "sk")
        configuration.defaultModel = reference
        #expect {
            _ = try ProviderCatalog(configuration, logger: quiet)
        } throws: {
            "\($0)" == message
        }
    }

    @Test func `a key or address that cannot be used is refused, and the key is not shown`() {
        var configuration = ProvidersConfiguration()
        configuration.use("openai", key: "sk-secret\n")
        #expect {
            _ = try ProviderCatalog(configuration, logger: quiet)
        } throws: {
            "\($0)" == "OPENAI_API_KEY must be one word of ASCII characters"
        }
        configuration.providers = [:]
        configuration.use("anthropic", baseURL: "localhost:8080")
        #expect(throws: ProvidersConfigurationError.self) { _ = try ProviderCatalog(configuration, logger: quiet) }
        configuration.providers = [:]
        configuration.scriptPath = "/nowhere/script.json"
        #expect {
            _ = try ProviderCatalog(configuration, logger: quiet)
        } throws: {
            "\($0)" == "models.script /nowhere/script.json cannot be read: No such file or directory"
        }
    }

    @Test(arguments: [
        ("https://api.openai.com/v1/", "api.openai.com", true), ("http://u:p@Host:80", "host", false),
        ("http://[::1]:8080", "[::1]", false),
    ])
    func `an address is taken apart`(_ text: String, _ host: String, _ hasPath: Bool) throws {
        let endpoint = try #require(Endpoint(text))
        #expect(endpoint.host == host)
        #expect(endpoint.hasPath == hasPath)
        #expect(!endpoint.base.hasSuffix("/"))
    }

    @Test(arguments: ["", "http://", "ftp://x", "http:///v1", "http://a b", "http://x?y", "x", "http://:80"])
    func `what is no address is refused`(_ text: String) { #expect(Endpoint(text) == nil) }
}
