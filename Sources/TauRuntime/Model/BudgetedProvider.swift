internal import Logging
internal import TauCore

/// A provider whose calls are held against budgets before they are made, and charged afterwards.
struct BudgetedProvider: ModelProvider {
    let inner: any ModelProvider
    let budgets: Budgets
    let payer: Payer
    /// What was set aside for the run's first call.
    var early: EarlyHold?
    let environment: RuntimeEnvironment

    var name: String { inner.name }
    var maxConcurrentCalls: Int? { inner.maxConcurrentCalls }

    func stream(
        _ request: ModelRequest, to sink: (ModelEvent) -> Void
    ) async throws(ProviderError) -> ModelReply {
        let hold = try await hold(for: request)
        var request = request
        if hold.answerTokens < request.maxOutputTokens ?? request.model.maxOutputTokens {
            request.maxOutputTokens = hold.answerTokens
        }
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
        let charge = charge(hold.request, request.model, result, used, streamedBytes)
        if hold.request.accounts.isEmpty {
            if charge.tokens > 0 { budgets.ledger.add(charge) }
        } else {
            budgets.ledger.settle(charge)
        }
        return try result.get()
    }

    /// What the call may use: set aside already, or now.
    private func hold(for request: ModelRequest) async throws(ProviderError) -> GrantedHold {
        let promptTokens = TokenEstimate.bound(of: request)
        if let early = early?.claim(for: request, promptTokens: promptTokens) {
            note(early.exceeded)
            return early
        }
        let time = environment.now()
        let wanted = request.maxOutputTokens ?? request.model.maxOutputTokens
        let hold = budgets.request(
            environment.identifiers.uuid(at: time), for: payer,
            budgets.accounts(of: payer.owner, keyID: payer.keyID, at: time), request.model, promptTokens: promptTokens,
            answerTokens: wanted, at: time)
        guard !hold.accounts.isEmpty else { return GrantedHold(request: hold, answerTokens: wanted, exceeded: []) }
        switch try await outcome(of: hold) {
        case .granted(let tokens, let exceeded):
            note(exceeded)
            return GrantedHold(request: hold, answerTokens: tokens, exceeded: exceeded)
        case .refused(let account, _):
            Measurements.budgetHolds.add(1, "refused")
            throw ProviderError(.budgetExceeded, account.exhaustion)
        }
    }

    private func note(_ exceeded: [BudgetAccount]) {
        Measurements.budgetHolds.add(1, "granted")
        for account in exceeded {
            environment.logger.warning("a budget is exceeded", metadata: ["account": "\(account.id)"])
        }
    }

    /// Where only what other calls hold is in the way, it is waited for: most of it comes back.
    private func outcome(of hold: HoldRequest) async throws(ProviderError) -> HoldOutcome {
        var waited = 0
        while true {
            let outcome: HoldOutcome
            do throws(StoreError) {
                outcome = try await budgets.ledger.certainHold(hold)
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
