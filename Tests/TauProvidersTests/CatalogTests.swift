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

    private func judged(
        _ text: String, _ rules: TierRules = TierRules(), tools: [String] = [], tokens: Int = 0, images: Int = 0
    ) -> String {
        var content: [ContentBlock] = [.text(text)]
        for _ in 0..<images { content.append(.image(ImageBlock(data: "", mimeType: "image/png"))) }
        let message = UserMessage(content: content, timestamp: noTime)
        let (tier, reason) = rules.judge(ModelTask(message: message, toolNames: tools, branchTokens: tokens))
        return "\(tier): \(reason)"
    }

    @Test func `what makes a message simple or complex is data`() {
        let long = String(repeating: "word ", count: 30)
        #expect(judged("Hi") == "simple: shorter than 100 characters")
        #expect(judged(String(repeating: "x", count: 99)) == "simple: shorter than 100 characters")
        #expect(judged(String(repeating: "x", count: 100)) == "medium: neither simple nor complex")
        #expect(judged("Please REFACTOR it") == "complex: speaks of \"refactor\"")
        #expect(judged("Please refactor") == "complex: speaks of \"refactor\"")
        #expect(judged("Könntest du das redesignen?") == "complex: speaks of \"redesign\"")
        #expect(judged("Prerefactor") == "simple: shorter than 100 characters")
        #expect(judged("the software-architecture") == "complex: speaks of \"architect\"")
        #expect(judged("请重构这个模块") == "complex: speaks of \"重构\"")
        // A part of another word is none.
        #expect(judged("an unarchitected thing") == "simple: shorter than 100 characters")
        var rules = TierRules()
        rules.languages = ["en"]
        #expect(judged("请重构这个模块", rules) == "simple: shorter than 100 characters")
        rules.complex.longerThan = 120
        rules.complex.attachments = 2
        rules.complex.tools = ["bash"]
        rules.complex.branchTokensAbove = 1000
        #expect(judged(long, rules) == "complex: longer than 120 characters")
        #expect(judged("Hi", rules, images: 1) == "simple: shorter than 100 characters")
        #expect(judged("Hi", rules, images: 2) == "complex: 2 attachments")
        #expect(judged("Hi", rules, tools: ["read", "bash"]) == "complex: asks for the tool bash")
        #expect(judged("Hi", rules, tokens: 1001) == "complex: a branch of more than 1000 tokens")
    }

    @Test func `the configuration adds models, changes known ones, and names who takes over`() async throws {
        try await withCatalog {
            $0.use("openai", key: "sk")
            $0.use("local", baseURL: "http://127.0.0.1:9")
            var own = ModelSettings()
            own.contextWindow = 4096
            own.prices = Prices(input: 1, output: 2)
            $0.providers["local"]?.models["m/1"] = own
            var cheaper = ModelSettings()
            cheaper.prices = Prices(input: 0.5, output: 1)
            $0.providers["openai"]?.models["gpt-5"] = cheaper
            $0.tierFallbacks[.simple] = ["local/m/1", "scripted/scripted"]
        } _: { catalog in
            let own = try #require(catalog.model(ModelReference(provider: "local", id: "m/1")))
            #expect(own.contextWindow == 4096)
            #expect(own.maxOutputTokens == 4096)
            #expect(own.prices == Prices(input: 1, output: 2))
            #expect(!own.boundsAnswers)
            #expect(catalog.listings.contains { $0.model == own && $0.isAvailable })
            let known = try #require(catalog.model(ModelReference(provider: "openai", id: "gpt-5")))
            #expect(known.prices == Prices(input: 0.5, output: 1))
            #expect(known.contextWindow == 400_000)
            let selection = catalog.choose(
                for: ModelTask(message: UserMessage(content: [.text("Hi")], timestamp: noTime)))
            #expect(selection?.fallbacks.map(\.reference.description) == ["local/m/1", "scripted/scripted"])
            #expect(selection?.choice?.tier == "simple")
        }
    }

    @Test(arguments: [
        ("nowhere", nil, "models.providers.nowhere.baseUrl is missing: nobody knows where nowhere is"),
        ("scripted", "http://x", "models.providers.scripted cannot be the name of a provider"),
    ])
    func `a provider that cannot be reached is refused`(_ name: String, _ address: String?, _ message: String) {
        var configuration = ProvidersConfiguration()
        configuration.use(name, baseURL: address)
        #expect {
            _ = try ProviderCatalog(configuration, logger: quiet)
        } throws: {
            "\($0)" == message
        }
    }

    @Test func `a switch that a server does not have is refused`() {
        var configuration = ProvidersConfiguration()
        configuration.use("local", baseURL: "http://x")
        configuration.providers["local"]?.compatibility = ["hasWings": true]
        #expect {
            _ = try ProviderCatalog(configuration, logger: quiet)
        } throws: {
            "\($0)" == "models.providers.local.compatibility.hasWings is no switch of the openai dialect"
        }
    }

    @Test func `a long prompt has its own prices`() throws {
        let model = try #require(BuiltInModels.openAI.first { $0.reference.id == "gpt-5.4" })
        let short = try #require(model.prices?.cost(of: Usage(input: 172_000, output: 1000, cacheRead: 100_000)))
        #expect(abs(short.total - (0.43 + 0.015 + 0.025)) < 1e-9)
        let long = try #require(model.prices?.cost(of: Usage(input: 172_001, output: 1000, cacheRead: 100_000)))
        #expect(abs(long.total - (0.860005 + 0.0225 + 0.05)) < 1e-9)
        let prices = Prices(input: 1, output: 2)
        #expect(prices.answerTokens(for: 0.001, promptTokens: 500) == 250)
        #expect(prices.answerTokens(for: 0.001, promptTokens: 1001) == -1)
        #expect(Prices.free.answerTokens(for: 0, promptTokens: 500) == nil)
    }

    @Test(arguments: [
        "claude-3-5-haiku-20241022", "claude-3-5-sonnet-20241022", "claude-opus-4-20250514", "claude-opus-5",
    ])
    func `the models that everybody asks for are there`(_ id: String) throws {
        let model = try #require(BuiltInModels.anthropic.first { $0.reference.id == id })
        #expect(model.prices != nil)
        #expect(model.inputs.contains(.image))
    }
}
