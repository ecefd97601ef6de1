internal import Synchronization
internal import TauCore

/// What is set aside for a run's first model call together with its message, so that the call waits for one commit and not for two, one
/// after the other.
///
/// Nobody has to rely on it: where there is none, or it does not fit the call, the call takes a hold of its own.
final class EarlyHold: Sendable {
    private let ledger: any Ledger
    private let granted = Mutex<GrantedHold?>(nil)

    init(ledger: any Ledger) { self.ledger = ledger }

    /// Asks for the hold; what is appended next takes it along where the ledger can. It is taken when `take` returns.
    func begin(_ request: HoldRequest) -> Wish { Wish(request: request, pending: ledger.begin(request)) }

    struct Wish {
        fileprivate let request: HoldRequest
        fileprivate let pending: PendingHold
    }

    /// Where it is refused the call asks again, and says so.
    func take(_ wish: Wish) async {
        guard
            case .granted(let tokens, let exceeded)? = try? await ledger.certainOutcome(of: wish.pending, wish.request)
        else { return }
        granted.withLock { $0 = GrantedHold(request: wish.request, answerTokens: tokens, exceeded: exceeded) }
    }

    /// The hold, once, for a call that it suffices for. Where it does not it is given back.
    func claim(for request: ModelRequest, promptTokens: Int) -> GrantedHold? {
        guard let hold = remove() else { return nil }
        if hold.request.charge.model == request.model.reference, hold.request.promptTokens >= promptTokens {
            return hold
        }
        ledger.settle(hold.request.charge)
        return nil
    }

    /// Gives back what no call has used; the run is over.
    func release() {
        if let hold = remove() { ledger.settle(hold.request.charge) }
    }

    private func remove() -> GrantedHold? {
        granted.withLock { hold in
            defer { hold = nil }
            return hold
        }
    }
}

/// A hold that a call may be made with.
struct GrantedHold: Sendable {
    var request: HoldRequest
    /// What the answer may have.
    var answerTokens: Int
    /// Budgets that only warn, and are exceeded.
    var exceeded: [BudgetAccount]
}

extension Ledger {
    /// Takes a hold; where nobody can tell whether it was taken, it is given back.
    func certainHold(_ request: HoldRequest) async throws(StoreError) -> HoldOutcome {
        try await certainOutcome(of: PendingHold { () throws(StoreError) in try await hold(request) }, request)
    }

    fileprivate func certainOutcome(
        of pending: PendingHold, _ request: HoldRequest
    ) async throws(StoreError) -> HoldOutcome {
        do throws(StoreError) {
            return try await pending.outcome()
        } catch {
            settle(request.charge)
            throw error
        }
    }
}
