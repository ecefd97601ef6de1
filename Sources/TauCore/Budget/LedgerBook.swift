/// What is used and held of one budget.
public struct BudgetState: Hashable, Sendable {
    public var usedTokens = 0
    public var heldTokens = 0
    public var usedNanoDollars = 0
    public var heldNanoDollars = 0

    public init() {}
}

/// What a model call may use at the most, asked for before it is made.
public struct HoldRequest: Sendable {
    /// Names the call; a second hold of the same name is the first one.
    public var id: String
    public var accounts: [BudgetAccount]
    /// Tokens of the prompt, estimated high.
    public var promptTokens: Int
    /// The answer's tokens: what is wanted, and below what the call is not worth making.
    public var answerTokens: Int
    public var minAnswerTokens: Int
    /// Thousandths of a billionth of a dollar for each token; nil where no price is known.
    public var prices: TokenPrices?
    public var expiresAt: Timestamp
    /// What the call is charged as if nothing is ever heard of it.
    public var charge: Charge

    public init(
        id: String, accounts: [BudgetAccount], promptTokens: Int, answerTokens: Int, minAnswerTokens: Int,
        prices: TokenPrices?, expiresAt: Timestamp, charge: Charge
    ) {
        self.id = id
        // Always in one order: who takes several never waits in a circle.
        self.accounts = accounts.sorted { $0.id < $1.id }
        self.promptTokens = promptTokens
        self.answerTokens = answerTokens
        self.minAnswerTokens = minAnswerTokens
        self.prices = prices
        self.expiresAt = expiresAt
        self.charge = charge
    }
}

extension HoldRequest {
    /// Its accounts that are beyond their budget with so much more.
    package func exceeded(
        in states: [String: BudgetState], adding tokens: Int = 0, nanoDollars: Int = 0
    ) -> [BudgetAccount] {
        accounts.filter { account in
            let state = states[account.id] ?? BudgetState()
            let isOver = { (limit: Int?, sum: Int) in limit.map { sum > $0 } ?? false }
            return isOver(account.rule.tokens, state.usedTokens + state.heldTokens + tokens)
                || isOver(account.rule.nanoDollars, state.usedNanoDollars + state.heldNanoDollars + nanoDollars)
        }
    }
}

/// What became of the wish for a hold.
public enum HoldOutcome: Sendable, Equatable {
    /// The answer may have so many tokens. Budgets that only warn may be exceeded.
    case granted(answerTokens: Int, exceeded: [BudgetAccount])
    /// The account has too little left.
    case refused(BudgetAccount, BudgetState)

    public var isGranted: Bool { if case .granted = self { true } else { false } }
}

/// Tokens and money set aside for one call.
public struct Hold: Hashable, Sendable {
    public var id: String
    public var accountIDs: [String]
    public var tokens: Int
    public var nanoDollars: Int
    public var expiresAt: Timestamp
    /// Nothing was heard of the call in time: it is charged in full until somebody knows better.
    public var isExpired: Bool
    public var charge: Charge

    public init(
        id: String, accountIDs: [String], tokens: Int, nanoDollars: Int, expiresAt: Timestamp, isExpired: Bool,
        charge: Charge
    ) {
        self.id = id
        self.accountIDs = accountIDs
        self.tokens = tokens
        self.nanoDollars = nanoDollars
        self.expiresAt = expiresAt
        self.isExpired = isExpired
        self.charge = charge
    }
}

extension Hold {
    /// The hold that an answer of so many tokens needs.
    public init(_ request: HoldRequest, answerTokens: Int) {
        var charge = request.charge
        charge.input = request.promptTokens
        charge.output = answerTokens
        charge.nanoDollars =
            request.prices?.bound(promptTokens: request.promptTokens, answerTokens: answerTokens) ?? 0
        charge.isEstimated = true
        self.init(
            id: request.id, accountIDs: request.accounts.map(\.id), tokens: charge.tokens,
            nanoDollars: charge.nanoDollars, expiresAt: request.expiresAt, isExpired: false, charge: charge)
    }
}

/// What one model call has used: a line of the ledger. The kinds of tokens are disjoint.
public struct Charge: Hashable, Sendable {
    /// The hold's id; a call is charged once.
    public var id: String
    public var time: Timestamp
    public var owner: Owner
    public var keyID: String?
    public var sessionID: SessionID
    public var model: ModelReference
    public var input = 0
    public var output = 0
    public var cacheRead = 0
    public var cacheWrite = 0
    public var nanoDollars = 0
    /// The provider did not say what was used.
    public var isEstimated = false

    public init(
        id: String, time: Timestamp, owner: Owner, keyID: String? = nil, sessionID: SessionID, model: ModelReference
    ) {
        self.id = id
        self.time = time
        self.owner = owner
        self.keyID = keyID
        self.sessionID = sessionID
        self.model = model
    }

    public var tokens: Int { input + output + cacheRead + cacheWrite }
}

/// The arithmetic of budgets over the accounts and holds that some operations touch, with what they have changed. Whoever loads and saves
/// them sees to it that nobody else does meanwhile.
///
/// At every moment used + held ≤ limit for holds that were granted: what is used can only be more if a call used more than it held.
public struct LedgerBook: Sendable {
    public private(set) var accounts: [String: BudgetState]
    public private(set) var holds: [String: Hold]
    public private(set) var changedAccounts: Set<String> = []
    public private(set) var changedHolds: Set<String> = []
    /// To be added; one of the same id replaces what was charged before.
    public private(set) var charges: [Charge] = []

    public init(accounts: [String: BudgetState], holds: [String: Hold]) {
        self.accounts = accounts
        self.holds = holds
    }

    /// Sets aside what the call may use, in all accounts or in none; the answer is made shorter before the call is refused.
    public mutating func hold(_ request: HoldRequest) -> HoldOutcome {
        if let known = holds[request.id] {
            return .granted(answerTokens: max(0, known.tokens - request.promptTokens), exceeded: [])
        }
        switch Self.outcome(of: request, accounts) {
        case .refused(let account, let state): return .refused(account, state)
        case .granted(let answerTokens, let exceeded):
            let hold = Hold(request, answerTokens: answerTokens)
            for account in hold.accountIDs {
                change(account) { state in
                    state.heldTokens += hold.tokens
                    state.heldNanoDollars += hold.nanoDollars
                }
            }
            set(hold)
            return .granted(answerTokens: answerTokens, exceeded: exceeded)
        }
    }

    /// What would become of a hold once the calls that are under way are over, if they used nothing.
    public static func outcomeWithoutHolds(of request: HoldRequest, _ accounts: [String: BudgetState]) -> HoldOutcome {
        let free = accounts.mapValues { state in
            var state = state
            state.heldTokens = 0
            state.heldNanoDollars = 0
            return state
        }
        return outcome(of: request, free)
    }

    /// What would become of a hold now.
    public static func outcome(of request: HoldRequest, _ accounts: [String: BudgetState]) -> HoldOutcome {
        var answerTokens = request.answerTokens
        for account in request.accounts where account.rule.isHard {
            let state = accounts[account.id] ?? BudgetState()
            var room = Int.max
            if let limit = account.rule.tokens {
                room = limit - state.usedTokens - state.heldTokens - request.promptTokens
            }
            if let limit = account.rule.nanoDollars {
                let left = limit - state.usedNanoDollars - state.heldNanoDollars
                let affordable = request.prices?.answerTokens(for: left, promptTokens: request.promptTokens)
                room = min(room, affordable ?? 0)
            }
            guard room >= min(request.minAnswerTokens, request.answerTokens) else { return .refused(account, state) }
            answerTokens = min(answerTokens, room)
        }
        let tokens = request.promptTokens + answerTokens
        let nanoDollars = request.prices?.bound(promptTokens: request.promptTokens, answerTokens: answerTokens) ?? 0
        let exceeded = request.exceeded(in: accounts, adding: tokens, nanoDollars: nanoDollars)
        return .granted(answerTokens: answerTokens, exceeded: exceeded)
    }

    /// Puts what was used in the place of the hold. A second time changes nothing.
    public mutating func settle(_ charge: Charge) {
        // None means that it was settled.
        guard let hold = holds[charge.id] else { return }
        for id in hold.accountIDs {
            change(id) { state in
                if hold.isExpired {
                    state.usedTokens += charge.tokens - hold.tokens
                    state.usedNanoDollars += charge.nanoDollars - hold.nanoDollars
                } else {
                    state.heldTokens -= hold.tokens
                    state.heldNanoDollars -= hold.nanoDollars
                    state.usedTokens += charge.tokens
                    state.usedNanoDollars += charge.nanoDollars
                }
            }
        }
        holds[charge.id] = nil
        changedHolds.insert(charge.id)
        charges.append(charge)
    }

    /// Charges a call for which nothing was held.
    public mutating func add(_ charge: Charge) { charges.append(charge) }

    /// Nothing was heard of the call: it counts as used in full.
    public mutating func expire(_ id: String) {
        guard var hold = holds[id], !hold.isExpired else { return }
        for id in hold.accountIDs {
            change(id) { state in
                state.heldTokens -= hold.tokens
                state.heldNanoDollars -= hold.nanoDollars
                state.usedTokens += hold.tokens
                state.usedNanoDollars += hold.nanoDollars
            }
        }
        hold.isExpired = true
        set(hold)
        charges.append(hold.charge)
    }

    private mutating func change(_ account: String, _ body: (inout BudgetState) -> Void) {
        body(&accounts[account, default: BudgetState()])
        changedAccounts.insert(account)
    }

    private mutating func set(_ hold: Hold) {
        holds[hold.id] = hold
        changedHolds.insert(hold.id)
    }
}
