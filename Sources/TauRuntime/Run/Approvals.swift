internal import Synchronization
internal import TauCore

/// Tool calls of one run that wait for a person. Decisions may come from anywhere; one task waits for all of them.
final class Approvals: Sendable {
    /// How the waiting ended.
    enum Outcome {
        case decided([String: ApprovalDecision])
        /// The time was over; what was decided until then.
        case expired([String: ApprovalDecision])
        case cancelled
        /// The server stops: the run goes on with the next one.
        case suspended
    }

    private struct State {
        var open: [String: ToolCall] = [:]
        var decisions: [String: ApprovalDecision] = [:]
        var isWaiting = false
        var isSuspended = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    /// Asks for decisions on these calls, beside those that were asked for already; some may have been given before a restart.
    func begin(_ calls: [ToolCall], decisions: [String: ApprovalDecision]) {
        state.withLock { state in
            if !state.isWaiting { (state.open, state.decisions) = ([:], [:]) }
            for call in calls { state.open[call.id] = call }
            state.decisions.merge(decisions.filter { state.open[$0.key] != nil }) { given, _ in given }
            state.isWaiting = true
        }
    }

    /// What is known so far, and what is still open.
    var decisions: [String: ApprovalDecision] { state.withLock { $0.decisions } }

    /// Whether a call waits for a decision.
    func isOpen(_ call: String) -> Bool {
        state.withLock { $0.isWaiting && $0.open[call] != nil && $0.decisions[call] == nil }
    }

    /// False where nobody waits for a decision on this call.
    func decide(_ call: String, _ decision: ApprovalDecision) -> Bool {
        let (isTaken, waiter) = state.withLock { state -> (Bool, CheckedContinuation<Void, Never>?) in
            guard state.isWaiting, state.open[call] != nil, state.decisions[call] == nil else { return (false, nil) }
            state.decisions[call] = decision
            defer { state.waiter = nil }
            return (true, state.waiter)
        }
        waiter?.resume()
        return isTaken
    }

    /// The server stops: whoever waits now or later gives up at once.
    func suspend() {
        state.withLock { state in
            state.isSuspended = true
            defer { state.waiter = nil }
            return state.waiter
        }?.resume()
    }

    /// Waits until everything is decided, for at most so long.
    ///
    /// `progress` is called after each decision but the last.
    func wait(
        atMost time: Duration, clock: any Clock<Duration>, progress: @escaping @Sendable () async -> Void
    ) async -> Outcome {
        let outcome = await withTaskGroup(of: Bool.self) { group -> Outcome in
            group.addTask {
                await self.waitForDecisions(progress)
                return false
            }
            group.addTask {
                try? await clock.sleep(for: time)
                return true
            }
            let isOver = await group.next() ?? true
            group.cancelAll()
            return state.withLock { state in
                if state.open.keys.allSatisfy({ state.decisions[$0] != nil }) { return .decided(state.decisions) }
                if state.isSuspended { return .suspended }
                if Task.isCancelled { return .cancelled }
                return isOver ? .expired(state.decisions) : .cancelled
            }
        }
        state.withLock { $0.isWaiting = false }
        return outcome
    }

    private func waitForDecisions(_ progress: @Sendable () async -> Void) async {
        var known = decisions.count
        while !Task.isCancelled {
            let (count, isDone) = state.withLock { state in
                (state.decisions.count, state.isSuspended || state.decisions.count == state.open.count)
            }
            if isDone { return }
            if count > known { await progress() }
            known = count
            await waitForChange(from: count)
        }
    }

    private func waitForChange(from count: Int) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isLate = state.withLock { state in
                    if Task.isCancelled || state.isSuspended || state.decisions.count > count { return true }
                    state.waiter = continuation
                    return false
                }
                if isLate { continuation.resume() }
            }
        } onCancel: {
            state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }?.resume()
        }
    }
}
