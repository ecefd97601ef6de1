internal import Synchronization
internal import TauCore

/// The runs of this process by id: those at work, and the last ones that have ended.
final class RunRegistry: Sendable {
    private struct State {
        var runs: [RunID: ActiveRun] = [:]
        /// Oldest first.
        var finished: [RunID] = []
        var activeCount = 0
        /// Of runs at work.
        var owners: [RunID: Owner] = [:]
        var activeCounts: [Owner: Int] = [:]
    }

    private let limits: RuntimeLimits
    private let state = Mutex(State())

    init(limits: RuntimeLimits) { self.limits = limits }

    /// Throws `overloaded` where as many runs as allowed are at work, on this server or of this owner.
    func add(_ run: ActiveRun, of owner: Owner) throws(RuntimeError) {
        try state.withLock { state throws(RuntimeError) in
            guard state.activeCount < limits.maxActiveRuns else {
                throw RuntimeError(
                    .overloaded, "\(limits.maxActiveRuns) runs are at work on this server already. Try again later.")
            }
            // The one who runs the server has all of it.
            guard owner == .local || state.activeCounts[owner, default: 0] < limits.maxActiveRunsPerUser else {
                throw RuntimeError(
                    .overloaded, "You have \(limits.maxActiveRunsPerUser) runs at work already. Try again later.")
            }
            state.activeCount += 1
            state.owners[run.id] = owner
            state.activeCounts[owner, default: 0] += 1
            state.runs[run.id] = run
        }
    }

    func finish(_ run: ActiveRun) {
        // What is forgotten goes once the lock is open again: its events are many small things.
        _ = state.withLock { state -> ActiveRun? in
            state.activeCount -= 1
            if let owner = state.owners.removeValue(forKey: run.id) {
                let left = state.activeCounts[owner, default: 1] - 1
                state.activeCounts[owner] = left > 0 ? left : nil
            }
            state.finished.append(run.id)
            guard state.finished.count > limits.retainedRuns else { return nil }
            return state.runs.removeValue(forKey: state.finished.removeFirst())
        }
    }

    /// Runs that are at work or wait.
    var activeCount: Int { state.withLock { $0.activeCount } }

    func find(_ id: RunID) -> ActiveRun? { state.withLock { $0.runs[id] } }

    /// The runs of a session, newest first.
    func runs(of session: SessionID) -> [ActiveRun] {
        state.withLock { state in state.runs.values.filter { $0.sessionID == session } }
            .sorted { $0.id.rawValue > $1.id.rawValue }
    }

    func forget(_ session: SessionID) {
        state.withLock { state in
            let gone = state.finished.filter { state.runs[$0]?.sessionID == session }
            for id in gone { state.runs[id] = nil }
            state.finished.removeAll { gone.contains($0) }
        }
    }
}
