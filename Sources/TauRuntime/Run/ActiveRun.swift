internal import Synchronization
public import TauCore

/// A run and what belongs to it while it is at work and while its events can still be read.
public final class ActiveRun: Sendable {
    private struct State {
        var run: Run
        var suspension: RunRecord.Suspension?
        var steering: [UserMessage] = []
        var followUps: [UserMessage] = []
        /// Set once the loop has decided to stop: nothing more can be queued.
        var isClosed = false
        /// The end that the last answer's entry has carried to the store.
        var end: Run?
    }

    public let id: RunID
    public let sessionID: SessionID
    public let journal: EventJournal
    let cancellation = OnceSignal()
    let approvals = Approvals()
    private let maxQueued: Int
    private let state: Mutex<State>

    init(_ record: RunRecord, limits: RuntimeLimits) {
        id = record.run.id
        sessionID = record.run.sessionID
        journal = EventJournal(
            maxBytes: limits.journalBytes, maxDeltaBytes: limits.deltaBytes,
            maxHold: .milliseconds(limits.deltaMilliseconds), lastNumber: record.suspension?.lastEvent ?? 0)
        maxQueued = limits.maxQueuedMessages
        state = Mutex(State(run: record.run, suspension: record.suspension))
        // Decisions may come before the run is on its way again.
        if record.suspension != nil { approvals.begin(record.run.pendingApprovals, decisions: [:]) }
    }

    /// The run as it is now.
    public var snapshot: Run { state.withLock { $0.run } }

    /// The run as it is remembered beyond this process.
    var record: RunRecord { state.withLock { RunRecord(run: $0.run, suspension: $0.suspension) } }

    /// The run as it is to be remembered once these entries are durable.
    func record(after entries: [Entry], _ change: (inout Run) -> Void) -> RunRecord {
        var record = record
        record.run.leafID = entries.last?.id ?? record.run.leafID
        change(&record.run)
        return record
    }

    /// Takes down the end that the store has, before anybody is told of it.
    func noteEnd(_ end: Run) { state.withLock { $0.end = end } }

    /// Turns to the end that the store has; false if it has none.
    func takeEnd() -> Bool {
        state.withLock { state in
            guard let end = state.end else { return false }
            state.run = end
            return true
        }
    }

    func update(_ change: (inout Run) -> Void) {
        state.withLock { change(&$0.run) }
    }

    /// Tells watchers of the run's state.
    func publishState() { journal.publish(.runState(snapshot)) }

    // MARK: Waiting for approvals

    /// What was decided before a restart, or just now, stays decided.
    func beginWaiting(_ calls: [ToolCall], _ suspension: RunRecord.Suspension) {
        state.withLock { state in
            var suspension = suspension
            suspension.decisions = state.suspension?.decisions ?? [:]
            state.suspension = suspension
            state.run.status = .waiting
            state.run.pendingApprovals = calls.filter { suspension.decisions[$0.id] == nil }
        }
    }

    /// Takes a decision down; `lastEvent` is the number of the event that will tell of it. Nil takes it back.
    func note(_ decision: ApprovalDecision?, on call: ToolCall) {
        state.withLock { state in
            state.suspension?.decisions[call.id] = decision
            state.suspension?.lastEvent += decision == nil ? -1 : 1
            state.run.pendingApprovals.removeAll { $0.id == call.id }
            if decision == nil { state.run.pendingApprovals.append(call) }
        }
    }

    func endWaiting() {
        state.withLock { state in
            state.suspension = nil
            state.run.status = .running
            state.run.pendingApprovals = []
        }
    }

    // MARK: Queues

    enum Queue { case steering, followUp }

    func enqueue(_ message: UserMessage, in queue: Queue) throws(RuntimeError) {
        try state.withLock { state throws(RuntimeError) in
            guard !state.isClosed else { throw RuntimeError(.conflict, "The run has ended.") }
            let count = queue == .steering ? state.steering.count : state.followUps.count
            guard count < maxQueued else {
                throw RuntimeError(.conflict, "\(maxQueued) messages wait in this run already.")
            }
            switch queue {
            case .steering: state.steering.append(message)
            case .followUp: state.followUps.append(message)
            }
        }
    }

    func takeSteering() -> UserMessage? {
        state.withLock { $0.steering.isEmpty ? nil : $0.steering.removeFirst() }
    }

    /// What to go on with when the agent would stop; after nil nothing can be queued any more.
    func takeNextOrClose() -> UserMessage? {
        state.withLock { state in
            if !state.steering.isEmpty { return state.steering.removeFirst() }
            if !state.followUps.isEmpty { return state.followUps.removeFirst() }
            state.isClosed = true
            return nil
        }
    }

    func close() { state.withLock { $0.isClosed = true } }
}
