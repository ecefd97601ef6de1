/// The book of what was used and of what is set aside, for all servers together.
public protocol Ledger: Sendable {
    /// Sets aside what a call may use, in one step with finding out whether there is so much. It is durable when this returns.
    func hold(_ request: HoldRequest) async throws(StoreError) -> HoldOutcome

    /// Asks for the same without waiting. Where it can it becomes durable together with what is appended to a session next.
    func begin(_ request: HoldRequest) -> PendingHold

    /// Takes down what the call of that hold has used, without waiting: until it is written the hold stands for it.
    func settle(_ charge: Charge)

    /// Takes down what a call has used for which nothing was held, without waiting.
    func add(_ charge: Charge)

    /// Returns when all that was taken down before is durable.
    func flush() async throws(StoreError)

    /// As they are now. Accounts that were never used are left out.
    func states(of accounts: [String]) async throws(StoreError) -> [String: BudgetState]

    /// As they were a second ago at the most, which need not cost a question: enough to let a call go as far as its hold.
    func recentStates(of accounts: [String]) async throws(StoreError) -> [String: BudgetState]

    /// What an owner has used, in groups.
    func usage(_ query: UsageQuery) async throws(StoreError) -> [UsageGroup]
}

extension Ledger {
    /// Asks when the outcome is awaited.
    public func begin(_ request: HoldRequest) -> PendingHold {
        PendingHold { () throws(StoreError) in try await hold(request) }
    }
}

/// A hold that was asked for and may not be taken yet. The outcome must be awaited, once.
public struct PendingHold: Sendable {
    private let wait: @Sendable () async throws(StoreError) -> HoldOutcome

    public init(_ wait: @escaping @Sendable () async throws(StoreError) -> HoldOutcome) { self.wait = wait }

    /// Durable when it returns.
    public func outcome() async throws(StoreError) -> HoldOutcome { try await wait() }
}

public struct UsageQuery: Sendable {
    public enum Grouping: String, CaseIterable, Sendable { case day, model, session }

    public var owner: Owner
    /// From this moment on, and before that one.
    public var from: Timestamp
    public var to: Timestamp
    public var grouping: Grouping
    /// Groups at the most: the latest days, else those that cost most.
    public var limit: Int

    public init(owner: Owner, from: Timestamp, to: Timestamp, grouping: Grouping, limit: Int) {
        self.owner = owner
        self.from = from
        self.to = to
        self.grouping = grouping
        self.limit = limit
    }
}

/// The calls of one day, model or session together.
public struct UsageGroup: Hashable, Sendable {
    /// `2026-11-27`, `provider/id`, or a session's id.
    public var name: String
    public var calls = 0
    public var input = 0
    public var output = 0
    public var cacheRead = 0
    public var cacheWrite = 0
    public var nanoDollars = 0

    public init(name: String) { self.name = name }
}
