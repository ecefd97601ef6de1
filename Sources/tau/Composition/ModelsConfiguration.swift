internal import Configuration
internal import TauCore
internal import TauProviders

/// Reads the part `models` of `tau.yaml`, and the providers' variables of the environment.
struct ModelsConfiguration {
    private let environment: Settings

    init(_ environment: Settings) { self.environment = environment }

    func apply(_ tree: ConfigurationTree, to configuration: inout ProvidersConfiguration) throws {
        for (name, provider) in try tree["providers"].members() {
            configuration.providers[name] = try settings(provider)
        }
        for name in KnownProvider.all.map(\.name) + configuration.providers.keys {
            try applyEnvironment(name, &configuration)
        }
        for (name, list) in try tree["fallback"].members(["default"] + ModelTier.allCases.map(\.rawValue)) {
            if let tier = ModelTier(rawValue: name) {
                configuration.tierFallbacks[tier] = try list.strings()
            } else {
                configuration.defaultFallbacks = try list.strings()
            }
        }
        try apply(tree["rules"], to: &configuration.rules)
        if tree["languages"].exists { configuration.rules.languages = Set(try tree["languages"].strings()) }
    }

    /// `<NAME>_API_KEY` and `<NAME>_BASE_URL`; either sets a known provider up.
    private func applyEnvironment(_ name: String, _ configuration: inout ProvidersConfiguration) throws {
        func key(_ suffix: String) -> ConfigKey {
            ConfigKey(KnownProvider.variable(name, suffix).lowercased().split(separator: "_").map(String.init))
        }
        let secret = try environment.secret(key("API_KEY"))
        let address = environment.string(key("BASE_URL"))
        guard secret != nil || address != nil else { return }
        var settings = configuration.providers[name] ?? ProviderSettings()
        settings.key = secret ?? settings.key
        settings.baseURL = address ?? settings.baseURL
        configuration.providers[name] = settings
    }

    // MARK: Providers

    private func settings(_ tree: ConfigurationTree) throws -> ProviderSettings {
        var settings = ProviderSettings()
        let known = [
            "api", "baseUrl", "key", "keyVariable", "headers", "maxConcurrentCalls", "compatibility", "models",
        ]
        for (name, value) in try tree.members(known) {
            switch name {
            case "api":
                guard let api = ProviderSettings.API(rawValue: try value.string()) else {
                    let choices = ProviderSettings.API.allCases.map(\.rawValue).joined(separator: ", ")
                    throw value.failure("must be one of \(choices)")
                }
                settings.api = api
            case "baseUrl": settings.baseURL = try value.string()
            case "key": settings.key = try value.string()
            case "keyVariable":
                let parts = try value.string().lowercased().split(separator: "_").map(String.init)
                settings.key = try environment.secret(ConfigKey(parts))
            case "headers":
                for (field, text) in try value.members() { settings.headers[field] = try text.string() }
            case "maxConcurrentCalls": settings.maxConcurrentCalls = try value.integer(1...100_000)
            case "compatibility":
                for (name, flag) in try value.members() { settings.compatibility[name] = flag.raw }
            default:
                for (id, model) in try value.members() { settings.models[id] = try modelSettings(model) }
            }
        }
        return settings
    }

    private func modelSettings(_ tree: ConfigurationTree) throws -> ModelSettings {
        var settings = ModelSettings()
        for (name, value) in try tree.members(["name", "contextWindow", "maxOutput", "inputs", "reasoning", "prices"]) {
            switch name {
            case "name": settings.name = try value.string()
            case "contextWindow": settings.contextWindow = try value.integer(256...100_000_000)
            case "maxOutput": settings.maxOutputTokens = try value.integer(1...100_000_000)
            case "inputs":
                settings.inputs = try value.strings().map { text in
                    guard let input = ModelDescription.Input(rawValue: text) else {
                        throw value.failure("may hold text and image, not \"\(text)\"")
                    }
                    return input
                }
            case "reasoning": settings.supportsReasoning = try value.bool()
            default: settings.prices = try prices(value, hasTiers: true)
            }
        }
        return settings
    }

    /// US dollars per million tokens. `tiers` is a mapping from the tokens of a prompt above which other prices hold.
    private func prices(_ tree: ConfigurationTree, hasTiers: Bool) throws -> Prices {
        guard tree["input"].exists, tree["output"].exists else { throw tree.failure("needs input and output") }
        var prices = Prices.free
        let known = ["input", "output", "cacheRead", "cacheWrite"] + (hasTiers ? ["tiers"] : [])
        for (name, value) in try tree.members(known) {
            switch name {
            case "input": prices.input = try value.number(0...1e6)
            case "output": prices.output = try value.number(0...1e6)
            case "cacheRead": prices.cacheRead = try value.number(0...1e6)
            case "cacheWrite": prices.cacheWrite = try value.number(0...1e6)
            default:
                for (tokens, tier) in try value.members() {
                    guard let tokens = Int(tokens), tokens > 0 else {
                        throw tier.failure("must be named by a number of tokens")
                    }
                    prices.tiers.append(.init(inputTokensAbove: tokens, prices: try self.prices(tier, hasTiers: false)))
                }
            }
        }
        return prices
    }

    // MARK: Rules

    private func apply(_ tree: ConfigurationTree, to rules: inout TierRules) throws {
        for (name, rule) in try tree.members(["simple", "complex"]) {
            if name == "simple" { try apply(rule, to: &rules.simple) } else { try apply(rule, to: &rules.complex) }
        }
    }

    private func apply(_ tree: ConfigurationTree, to rule: inout TierRules.Rule) throws {
        let known = ["shorterThan", "longerThan", "words", "attachments", "tools", "branchTokensAbove"]
        for (name, value) in try tree.members(known) {
            switch name {
            case "shorterThan": rule.shorterThan = try value.integer(0...100_000_000)
            case "longerThan": rule.longerThan = try value.integer(0...100_000_000)
            case "words":
                for (language, words) in try value.members() { rule.words[language] = try words.strings() }
            case "attachments": rule.attachments = try value.integer(1...1_000_000)
            case "tools": rule.tools = try value.strings()
            default: rule.branchTokensAbove = try value.integer(0...100_000_000)
            }
        }
    }
}
