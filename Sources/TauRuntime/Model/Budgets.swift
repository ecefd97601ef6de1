internal import Logging
public import TauCore

/// What users, tenants and keys may use of models.
public struct BudgetSettings: Sendable {
    public var rules: [BudgetRule] = []
    /// Seconds after which a call of which nothing was heard counts as used in full (`budget.holdSeconds`).
    public var holdSeconds = 900
    /// Tokens of an answer below which a call is not worth making (`budget.minAnswerTokens`).
    public var minAnswerTokens = 256
    /// Seconds that a call waits for what others hold (`budget.waitSeconds`).
    public var waitSeconds = 30

    public init(rules: [BudgetRule] = []) { self.rules = rules }
}

/// The settings, and the book in which it stands what was used.
package struct Budgets: Sendable {
    package let ledger: any Ledger
    package let settings: BudgetSettings

    package init(ledger: any Ledger, settings: BudgetSettings) {
        self.ledger = ledger
        self.settings = settings
    }

    /// Whether money counts, so that only models can be used whose price is known.
    var countsMoney: Bool { settings.rules.contains { $0.isHard && $0.nanoDollars != nil } }

    func accounts(of owner: Owner, keyID: String?, at time: Timestamp) -> [BudgetAccount] {
        settings.rules.compactMap { $0.account(of: owner, keyID: keyID, at: time) }
    }

    /// The wish for what a call may use.
    func request(
        _ id: String, for payer: Payer, _ accounts: [BudgetAccount], _ model: ModelDescription, promptTokens: Int,
        answerTokens: Int, at time: Timestamp
    ) -> HoldRequest {
        HoldRequest(
            id: id, accounts: accounts, promptTokens: promptTokens, answerTokens: answerTokens,
            minAnswerTokens: settings.minAnswerTokens,
            // A longer prompt than estimated may cost more for each token.
            prices: model.prices.map { prices in
                ([prices] + prices.tiers.map(\.prices)).map { $0.tokenPrices(forPromptOf: 0) }.dearest
                    ?? prices.tokenPrices(forPromptOf: promptTokens)
            },
            expiresAt: Timestamp(milliseconds: time.milliseconds + Int64(settings.holdSeconds) * 1000),
            charge: Charge(
                id: id, time: time, owner: payer.owner, keyID: payer.keyID, sessionID: payer.sessionID,
                model: model.reference))
    }
}

/// Who pays for a model call.
struct Payer: Sendable {
    var owner: Owner
    var keyID: String?
    var sessionID: SessionID
}

extension [TokenPrices] {
    fileprivate var dearest: TokenPrices? {
        reduce(nil) { dearest, prices in
            guard let dearest else { return prices }
            return TokenPrices(
                input: Swift.max(dearest.input, prices.input), output: Swift.max(dearest.output, prices.output),
                cacheRead: Swift.max(dearest.cacheRead, prices.cacheRead),
                cacheWrite: Swift.max(dearest.cacheWrite, prices.cacheWrite))
        }
    }
}

extension BudgetAccount {
    /// What a caller is told whose budget does not suffice.
    var exhaustion: String {
        let bound = [
            rule.tokens.map { "\($0) tokens" },
            rule.nanoDollars.map { "$\(JSONWriter.javaScriptNumber(Double($0) / 1e9))" },
        ].compactMap(\.self).joined(separator: " and ")
        let whose = rule.scope == .user ? "your" : "the \(rule.scope.rawValue)'s"
        return
            "What is left of \(whose) budget of \(bound) a \(rule.window.rawValue) does not suffice. It begins anew at \(resetsAt)."
    }
}
