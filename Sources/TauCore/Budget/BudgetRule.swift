/// How much of models somebody may use in a day or a month.
public struct BudgetRule: Hashable, Sendable {
    /// Who shares it.
    public enum Scope: String, CaseIterable, Sendable { case user, tenant, key }
    /// When it begins anew, by UTC.
    public enum Window: String, CaseIterable, Sendable { case day, month }

    public var scope: Scope
    public var window: Window
    /// Tokens of all kinds; nil for no bound.
    public var tokens: Int?
    /// Billionths of a US dollar; nil for no bound.
    public var nanoDollars: Int?
    /// Whether calls beyond it are refused, or only told of in the log.
    public var isHard: Bool

    public init(scope: Scope, window: Window, tokens: Int? = nil, nanoDollars: Int? = nil, isHard: Bool = true) {
        self.scope = scope
        self.window = window
        self.tokens = tokens
        self.nanoDollars = nanoDollars
        self.isHard = isHard
    }
}

/// One budget of somebody in one day or month.
public struct BudgetAccount: Hashable, Sendable {
    /// Names owner and window, so that a new window is a new account and nothing is ever reset.
    public var id: String
    public var rule: BudgetRule
    /// When the next window begins.
    public var resetsAt: Timestamp

    public init(id: String, rule: BudgetRule, resetsAt: Timestamp) {
        self.id = id
        self.rule = rule
        self.resetsAt = resetsAt
    }
}

extension BudgetRule {
    /// The account at a time; nil where the rule is for keys and there is none.
    public func account(of owner: Owner, keyID: String?, at time: Timestamp) -> BudgetAccount? {
        let subject: String
        switch scope {
        case .user: subject = owner.subject
        case .tenant: subject = owner.tenantID
        case .key:
            guard let keyID else { return nil }
            subject = keyID
        }
        return BudgetAccount(
            id: "\(scope.rawValue):\(subject)@\(window.name(at: time))", rule: self, resetsAt: window.end(at: time))
    }
}

extension BudgetRule.Window {
    /// `2026-11-27` or `2026-11`.
    func name(at time: Timestamp) -> String {
        String(time.description.prefix(self == .day ? 10 : 7))
    }

    /// The first moment of the next window.
    func end(at time: Timestamp) -> Timestamp {
        let day: Int64 = 86_400_000
        let today = Timestamp(milliseconds: time.milliseconds - (time.milliseconds % day + day) % day)
        guard self == .month else { return Timestamp(milliseconds: today.milliseconds + day) }
        // No month has more than 31 days, and the day of the month is where it stands now.
        let number = Int64(today.description.dropFirst(8).prefix(2)) ?? 1
        let next = Timestamp(milliseconds: today.milliseconds + (32 - number) * day)
        let nextNumber = Int64(next.description.dropFirst(8).prefix(2)) ?? 1
        return Timestamp(milliseconds: next.milliseconds - (nextNumber - 1) * day)
    }
}
