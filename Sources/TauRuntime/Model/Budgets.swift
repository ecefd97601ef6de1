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
        _ id: String, for payer: Payer, _ model: ModelDescription, promptTokens: Int, answerTokens: Int,
        at time: Timestamp
    ) -> HoldRequest {
        HoldRequest(
            id: id, accounts: accounts(of: payer.owner, keyID: payer.keyID, at: time), promptTokens: promptTokens,
            answerTokens: answerTokens,
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

/// A provider whose calls are held against budgets before they are made, and charged afterwards.
struct BudgetedProvider: ModelProvider {
    let inner: any ModelProvider
    let budgets: Budgets
    let payer: Payer
    let environment: RuntimeEnvironment

    var name: String { inner.name }
    var maxConcurrentCalls: Int? { inner.maxConcurrentCalls }

    func stream(
        _ request: ModelRequest, to sink: (ModelEvent) -> Void
    ) async throws(ProviderError) -> ModelReply {
        var request = request
        let time = environment.now()
        let id = environment.identifiers.uuid(at: time)
        let promptTokens = TokenEstimate.bound(of: request)
        let hold = budgets.request(
            id, for: payer, request.model, promptTokens: promptTokens,
            answerTokens: request.maxOutputTokens ?? request.model.maxOutputTokens, at: time)
        if !hold.accounts.isEmpty { try await take(hold, &request) }
        var used: Usage?
        var streamedBytes = 0
        let result: Result<ModelReply, ProviderError>
        do throws(ProviderError) {
            let reply = try await inner.stream(request) { event in
                if case .usage(let usage) = event { used = usage }
                streamedBytes += event.byteCount
                sink(event)
            }
            result = .success(reply)
        } catch {
            result = .failure(error)
        }
        let charge = charge(hold, request.model, result, used, streamedBytes)
        if hold.accounts.isEmpty {
            if charge.tokens > 0 { budgets.ledger.add(charge) }
        } else {
            budgets.ledger.settle(charge)
        }
        return try result.get()
    }

    private func take(_ hold: HoldRequest, _ request: inout ModelRequest) async throws(ProviderError) {
        let outcome = try await outcome(of: hold)
        Measurements.budgetHolds.add(1, outcome.isGranted ? "granted" : "refused")
        switch outcome {
        case .granted(let tokens, let exceeded):
            if tokens < hold.answerTokens { request.maxOutputTokens = tokens }
            for account in exceeded {
                environment.logger.warning("a budget is exceeded", metadata: ["account": "\(account.id)"])
            }
        case .refused(let account, _): throw ProviderError(.budgetExceeded, account.exhaustion)
        }
    }

    /// Where only what other calls hold is in the way, it is waited for: most of it comes back.
    private func outcome(of hold: HoldRequest) async throws(ProviderError) -> HoldOutcome {
        var waited = 0
        while true {
            let outcome: HoldOutcome
            do throws(StoreError) {
                outcome = try await budgets.ledger.hold(hold)
            } catch {
                environment.logger.error("a budget could not be asked", metadata: ["reason": "\(error)"])
                throw ProviderError(.ledgerUnavailable, "The budget cannot be asked now, so no model is.")
            }
            guard case .refused(let account, let state) = outcome, waited < budgets.settings.waitSeconds * 1000,
                case .granted = LedgerBook.outcomeWithoutHolds(of: hold, [account.id: state])
            else { return outcome }
            let delay = 50 + Int(environment.spread() * 50)
            waited += delay
            do {
                try await environment.clock.sleep(for: .milliseconds(delay))
            } catch {
                throw ProviderError(.cancelled, "The model call was cancelled.")
            }
        }
    }

    /// What is charged: what the provider has counted, and where it has not, what was sent and what came.
    private func charge(
        _ hold: HoldRequest, _ model: ModelDescription, _ result: Result<ModelReply, ProviderError>, _ used: Usage?,
        _ streamedBytes: Int
    ) -> Charge {
        var charge = hold.charge
        if let used {
            (charge.input, charge.output) = (used.input, used.output)
            (charge.cacheRead, charge.cacheWrite) = (used.cacheRead, used.cacheWrite)
        }
        let isCounted =
            switch result {
            case .success: charge.tokens > 0
            // An answer that broke off was counted to its beginning only; a call that came to nothing is charged nothing.
            case .failure: streamedBytes == 0
            }
        if !isCounted {
            if charge.tokens == charge.output { charge.input = hold.promptTokens }
            charge.output = max(charge.output, (streamedBytes + 2) / 3)
            charge.isEstimated = true
        }
        let usage = Usage(
            input: charge.input, output: charge.output, cacheRead: charge.cacheRead, cacheWrite: charge.cacheWrite)
        charge.nanoDollars = model.prices?.nanoDollars(of: usage) ?? 0
        return charge
    }
}

extension ModelEvent {
    /// Bytes of the answer that came with it.
    fileprivate var byteCount: Int {
        switch self {
        case .textDelta(_, let text), .thinkingDelta(_, let text), .toolCallDelta(_, let text): text.utf8.count
        case .toolCallStart(_, _, let name): name.utf8.count
        case .textStart, .textEnd, .thinkingStart, .thinkingEnd, .toolCallEnd, .usage: 0
        }
    }
}
