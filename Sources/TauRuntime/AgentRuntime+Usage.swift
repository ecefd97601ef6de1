public import TauCore

/// What was used of models, and what is left.
extension AgentRuntime {
    /// An owner's budgets with what is used and held of each, in the order of the configuration.
    public func budgets(
        of owner: Owner, keyID: String?
    ) async throws(RuntimeError) -> [(account: BudgetAccount, state: BudgetState)] {
        guard let budgets else { return [] }
        let accounts = budgets.accounts(of: owner, keyID: keyID, at: environment.now())
        let states = try await storing { () throws(StoreError) in
            // What has just ended counts.
            try await budgets.ledger.flush()
            return try await budgets.ledger.states(of: accounts.map(\.id))
        }
        return accounts.map { ($0, states[$0.id] ?? BudgetState()) }
    }

    public func usage(_ query: UsageQuery) async throws(RuntimeError) -> [UsageGroup] {
        guard let budgets else { return [] }
        return try await storing { () throws(StoreError) in try await budgets.ledger.usage(query) }
    }
}
