internal import TauCore

/// Which model and which tools a run uses.
extension AgentRuntime {
    /// The model that a reference names, which must exist and be usable.
    func resolve(_ reference: ModelReference) throws(RuntimeError) -> ModelDescription {
        guard let model = models.model(reference) else {
            throw RuntimeError(
                .badRequest, "There is no model \(reference). GET /models lists what there is.",
                details: [.init(path: "model", message: "unknown model \(reference)")])
        }
        return model
    }

    /// `branchTokens` is asked for only where something has to be chosen.
    func chooseModel(
        _ choice: ModelChoice, _ settings: BranchSettings, _ prompt: UserMessage,
        branchTokens: () -> Int
    ) throws(RuntimeError) -> ModelSelection {
        switch choice {
        case .named(let reference): return ModelSelection(model: try resolve(reference))
        case .session where !settings.isModelAutomatic:
            if let known = usableModel(of: settings) { return ModelSelection(model: known) }
        case .session, .automatic: break
        }
        let task = ModelTask(
            message: prompt, toolNames: settings.activeToolNames ?? [], branchTokens: branchTokens())
        guard let selection = models.choose(for: task) else {
            throw RuntimeError(.modelUnavailable, "No model is configured.")
        }
        return selection
    }

    /// The branch's model; nil where it has none, or comes from elsewhere and names one that is not to be had here.
    func usableModel(of settings: BranchSettings) -> ModelDescription? {
        settings.model.flatMap(models.model).flatMap { models.provider(named: $0.reference.provider) == nil ? nil : $0 }
    }

    /// The selected model and those that take over from it, each with its provider behind its gate.
    func route(
        _ selection: ModelSelection, for session: LiveSession, keyID: String? = nil, hasBudget: Bool,
        early: EarlyHold? = nil
    ) throws(RuntimeError) -> ModelRoute {
        let hasBudget = hasBudget || budgets?.countsMoney == true
        let payer = Payer(owner: session.owner, keyID: keyID, sessionID: session.id)
        guard let provider = models.provider(named: selection.model.reference.provider) else {
            throw RuntimeError(
                .modelUnavailable, "Nobody speaks to \(selection.model.reference): its provider is not configured.")
        }
        guard !hasBudget || selection.model.prices != nil else {
            throw RuntimeError(
                .badRequest,
                "The price of \(selection.model.reference) is not known, so no budget can be held with it. Configure its prices, or take another model.",
                details: [.init(path: "model", message: "its price is unknown")])
        }
        let fallbacks = selection.fallbacks.compactMap { model -> ModelRoute? in
            guard !hasBudget || model.prices != nil, let provider = models.provider(named: model.reference.provider)
            else { return nil }
            return ModelRoute(model: model, provider: guarded(provider, for: payer, early))
        }
        return ModelRoute(
            model: selection.model, provider: guarded(provider, for: payer, early), fallbacks: fallbacks)
    }

    /// The provider behind its gate; behind that, what a call may use is set aside.
    private func guarded(
        _ provider: any ModelProvider, for payer: Payer, _ early: EarlyHold? = nil
    ) -> any ModelProvider {
        let budgeted = budgets.map {
            BudgetedProvider(inner: provider, budgets: $0, payer: payer, early: early, environment: environment)
        }
        return gates.guarded(budgeted ?? provider, for: payer.owner)
    }

    /// Refuses a message whose first model call no budget has room for. Answers what that call is to hold; nil where it is to hold nothing.
    func requireBudget(
        for payer: Payer, _ model: ModelDescription, messageTime: Timestamp, promptTokens: () -> Int
    ) async throws(RuntimeError) -> HoldRequest? {
        let time = environment.now()
        guard let budgets else { return nil }
        let charged = budgets.accounts(of: payer.owner, keyID: payer.keyID, at: time)
        guard !charged.isEmpty else { return nil }
        var request = budgets.request(
            environment.identifiers.uuid(at: time), for: payer, charged, model, promptTokens: promptTokens(),
            answerTokens: model.maxOutputTokens, at: time)
        // By which the answer is found in the session, should this server die.
        request.charge.time = messageTime
        let accounts = request.accounts.map(\.id)
        var states = try await storing { () throws(StoreError) in
            try await budgets.ledger.recentStates(of: accounts)
        }
        // What other calls hold may come back while this one waits.
        if case .granted = LedgerBook.outcomeWithoutHolds(of: request, states) { return request }
        states = try await storing { () throws(StoreError) in
            try await budgets.ledger.flush()
            return try await budgets.ledger.states(of: accounts)
        }
        if case .refused(let account, _) = LedgerBook.outcomeWithoutHolds(of: request, states) {
            throw RuntimeError(.budgetExceeded, account.exhaustion)
        }
        return request
    }

    /// The tools that a model is told of on a branch.
    func offeredTools(_ settings: BranchSettings) -> [ToolDefinition] {
        tools.listings.filter { listing in
            listing.unavailable == nil && listing.policy != .deny
                && settings.activeToolNames?.contains(listing.definition.name) != false
        }.map(\.definition)
    }

    func checkTools(_ names: [String]) throws(RuntimeError) -> [String] {
        let known = Set(tools.listings.map(\.definition.name))
        let unknown = names.enumerated().filter { !known.contains($0.element) }
        guard unknown.isEmpty else {
            throw RuntimeError(
                .badRequest, "Unknown tools: \(unknown.map(\.element).joined(separator: ", ")).",
                details: unknown.map { .init(path: "tools.\($0.offset)", message: "there is no tool \($0.element)") })
        }
        return names
    }
}
