internal import Synchronization
internal import TauCore
internal import TauSystem

/// Accounts as they were when the ledger saw them last, for a second, and with what this server's own calls have used since.
final class RecentStates: Sendable {
    private struct Known {
        var state: BudgetState
        /// Milliseconds of the monotonic clock.
        var time: Int
    }

    private struct State {
        var known: [String: Known] = [:]
        /// The accounts of calls that are under way, and of those whose charge is not written yet.
        var calls: [String: [String]] = [:]
        /// What is charged and not written yet.
        var unwritten: [String: BudgetState] = [:]
    }

    private static let lifetimeMilliseconds = 1000
    /// Accounts that are remembered; with more, all are forgotten, which costs a question each.
    private static let maxAccounts = 10_000
    private let state = Mutex(State())

    /// A call has got its hold.
    func begin(_ call: HoldRequest) { state.withLock { $0.calls[call.id] = call.accounts.map(\.id) } }

    /// A call is over, and its charge is going to be written. False where it has got no hold here.
    func end(_ charge: Charge) -> Bool {
        state.withLock { state in
            guard let accounts = state.calls[charge.id] else { return false }
            for account in accounts {
                state.unwritten[account, default: BudgetState()].usedTokens += charge.tokens
                state.unwritten[account, default: BudgetState()].usedNanoDollars += charge.nanoDollars
            }
            return true
        }
    }

    /// The accounts as they are now that these operations are written.
    func note(_ states: [String: BudgetState], after operations: [LedgerOperation] = []) {
        let time = monotonicMilliseconds()
        state.withLock { state in
            if state.known.count + states.count > Self.maxAccounts { state.known.removeAll(keepingCapacity: true) }
            for (id, account) in states { state.known[id] = Known(state: account, time: time) }
            for case .settle(let charge) in operations {
                for account in state.calls.removeValue(forKey: charge.id) ?? [] {
                    guard var rest = state.unwritten[account] else { continue }
                    rest.usedTokens -= charge.tokens
                    rest.usedNanoDollars -= charge.nanoDollars
                    state.unwritten[account] = rest == BudgetState() ? nil : rest
                }
            }
        }
    }

    /// Nil where not all of them were seen within the last second.
    func states(of accounts: [String]) -> [String: BudgetState]? {
        let time = monotonicMilliseconds()
        return state.withLock { state in
            var states: [String: BudgetState] = [:]
            for id in accounts {
                guard let known = state.known[id], time - known.time < Self.lifetimeMilliseconds else { return nil }
                var account = known.state
                account.usedTokens += state.unwritten[id]?.usedTokens ?? 0
                account.usedNanoDollars += state.unwritten[id]?.usedNanoDollars ?? 0
                states[id] = account
            }
            return states
        }
    }
}
