internal import Synchronization
internal import TauCore
internal import TauSystem

/// Accounts as they were when the ledger saw them last, for a second.
final class RecentStates: Sendable {
    private struct Known {
        var state: BudgetState
        /// Milliseconds of the monotonic clock.
        var time: Int
    }

    private static let lifetimeMilliseconds = 1000
    /// Accounts that are remembered; with more, all are forgotten, which costs a question each.
    private static let maxAccounts = 10_000
    private let known = Mutex<[String: Known]>([:])

    func note(_ states: [String: BudgetState]) {
        guard !states.isEmpty else { return }
        let time = monotonicMilliseconds()
        known.withLock { known in
            if known.count + states.count > Self.maxAccounts { known.removeAll(keepingCapacity: true) }
            for (id, state) in states { known[id] = Known(state: state, time: time) }
        }
    }

    /// Nil where not all of them were seen within the last second.
    func states(of accounts: [String]) -> [String: BudgetState]? {
        let time = monotonicMilliseconds()
        return known.withLock { known in
            var states: [String: BudgetState] = [:]
            for id in accounts {
                guard let known = known[id], time - known.time < Self.lifetimeMilliseconds else { return nil }
                states[id] = known.state
            }
            return states
        }
    }
}
