internal import TauCore

/// Which model a message gets where its session names none.
struct ModelSelections: Sendable {
    private let defaultModel: ModelReference?
    private let defaultFallbacks: [ModelReference]
    private let tierModels: [ModelTier: ModelReference]
    private let tierFallbacks: [ModelTier: [ModelReference]]
    private let rules: TierRules

    /// Checks every reference in the configuration; `providers` are those that can be used.
    init(_ configuration: ProvidersConfiguration, providers: Set<String>) throws(ProvidersConfigurationError) {
        func reference(_ text: String, _ setting: String) throws(ProvidersConfigurationError) -> ModelReference {
            try Self.reference(text, setting, providers)
        }
        func references(_ texts: [String], _ setting: String) throws(ProvidersConfigurationError) -> [ModelReference] {
            var references: [ModelReference] = []
            for text in texts { references.append(try reference(text, setting)) }
            return references
        }
        defaultModel =
            configuration.defaultModel == ProvidersConfiguration.automatic
            ? nil : try reference(configuration.defaultModel, "models.default")
        defaultFallbacks = try references(configuration.defaultFallbacks, "models.fallback.default")
        var tierModels: [ModelTier: ModelReference] = [:]
        var tierFallbacks: [ModelTier: [ModelReference]] = [:]
        for tier in ModelTier.allCases {
            let text = configuration.tierModels[tier] ?? ProvidersConfiguration.automatic
            tierModels[tier] =
                text == ProvidersConfiguration.automatic
                ? Self.standard(tier, configuration, providers) : try reference(text, "models.\(tier.rawValue)")
            tierFallbacks[tier] = try references(
                configuration.tierFallbacks[tier] ?? [], "models.fallback.\(tier.rawValue)")
        }
        self.tierModels = tierModels
        self.tierFallbacks = tierFallbacks
        rules = configuration.rules
    }

    func choose(for task: ModelTask) -> (ModelReference, AutomaticChoice?, [ModelReference]) {
        if let defaultModel { return (defaultModel, nil, defaultFallbacks) }
        let (tier, reason) = rules.judge(task)
        let model = tierModels[tier] ?? BuiltInModels.scripted.reference
        return (model, AutomaticChoice(tier: tier.rawValue, reason: reason), tierFallbacks[tier] ?? [])
    }

    /// The model of the most preferred provider: one with a model for each tier, or one whose only models are in the configuration.
    private static func standard(
        _ tier: ModelTier, _ configuration: ProvidersConfiguration, _ providers: Set<String>
    ) -> ModelReference {
        let known = KnownProvider.all.map(\.name)
        let others = configuration.providers.keys.filter { !known.contains($0) }.sorted()
        for name in known + others where providers.contains(name) {
            if let id = KnownProvider.named(name)?.tierModels[tier] { return ModelReference(provider: name, id: id) }
            if let id = configuration.providers[name]?.models.keys.sorted().first {
                return ModelReference(provider: name, id: id)
            }
        }
        return BuiltInModels.scripted.reference
    }

    private static func reference(
        _ text: String, _ setting: String, _ providers: Set<String>
    ) throws(ProvidersConfigurationError) -> ModelReference {
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
