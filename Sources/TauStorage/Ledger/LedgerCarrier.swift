internal import Synchronization
internal import TauCore

/// Who writes something anyway, and takes operations of the ledger along in the same commit.
///
/// It does what is simple and what nobody else is at: whatever has to be reckoned one after the other, or waited for, is left.
protocol LedgerCarrier: Sendable {
    /// Takes an operation along with what is written next, or soon. False where too much waits already.
    func carry(_ ride: LedgerRide) -> Bool

    /// Returns when what was handed over before is written, or left.
    func flushRides() async throws(StoreError)
}

/// One operation on its way.
struct LedgerRide: Sendable {
    enum Outcome: Sendable {
        /// It is durable; a hold was granted in full. With the accounts as they are since then.
        case done([String: BudgetState])
        /// It is not done, or nobody can tell: it goes to the book alone, where a second time changes nothing.
        case left
    }

    var operation: LedgerOperation
    /// Somebody waits for it, and appends nothing meanwhile.
    var isUrgent = false
    /// How often it was taken along while others were at its accounts.
    var tries = 0
    var end: @Sendable (Outcome) -> Void
}

/// A wish for a hold that was handed to a carrier, and what became of it.
final class CarriedHold: Sendable {
    private enum State {
        case isUnderWay
        case isAwaited(CheckedContinuation<LedgerRide.Outcome, Never>)
        case hasEnded(LedgerRide.Outcome)
    }

    private let state = Mutex(State.isUnderWay)

    func end(_ outcome: LedgerRide.Outcome) {
        let waiter = state.withLock { state -> CheckedContinuation<LedgerRide.Outcome, Never>? in
            defer { state = .hasEnded(outcome) }
            guard case .isAwaited(let waiter) = state else { return nil }
            return waiter
        }
        waiter?.resume(returning: outcome)
    }

    /// To be asked once.
    func outcome() async -> LedgerRide.Outcome {
        await withCheckedContinuation { continuation in
            let known = state.withLock { state -> LedgerRide.Outcome? in
                if case .hasEnded(let outcome) = state { return outcome }
                state = .isAwaited(continuation)
                return nil
            }
            if let known { continuation.resume(returning: known) }
        }
    }
}
