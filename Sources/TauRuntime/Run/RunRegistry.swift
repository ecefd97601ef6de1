internal import Synchronization
internal import TauCore

/// The runs of this process by id: those at work, and the last ones that have ended.
final class RunRegistry: Sendable {
    private struct State {
        var runs: [RunID: ActiveRun] = [:]
        /// Oldest first.
        var finished: [RunID] = []
        var activeCount = 0
    }

    private let limits: RuntimeLimits
    private let state = Mutex(State())

    init(limits: RuntimeLimits) { self.limits = limits }

    /// False if as many runs as allowed are at work.
    func add(_ run: ActiveRun) -> Bool {
        state.withLock { state in
            guard state.activeCount < limits.maxActiveRuns else { return false }
            state.activeCount += 1
            state.runs[run.id] = run
            return true
        }
    }

    func finish(_ run: ActiveRun) {
        state.withLock { state in
            state.activeCount -= 1
            state.finished.append(run.id)
            if state.finished.count > limits.retainedRuns { state.runs[state.finished.removeFirst()] = nil }
        }
    }

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
