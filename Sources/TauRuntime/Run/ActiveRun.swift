internal import Synchronization
public import TauCore

/// A run and what belongs to it while it is at work and while its events can still be read.
public final class ActiveRun: Sendable {
    private struct State {
        var run: Run
        var steering: [UserMessage] = []
        var followUps: [UserMessage] = []
        /// Set once the loop has decided to stop: nothing more can be queued.
        var isClosed = false
    }

    public let id: RunID
    public let sessionID: SessionID
    public let journal: EventJournal
    let cancellation = CancelSignal()
    private let maxQueued: Int
    private let state: Mutex<State>

    init(_ run: Run, limits: RuntimeLimits) {
        id = run.id
        sessionID = run.sessionID
        journal = EventJournal(maxBytes: limits.journalBytes)
        maxQueued = limits.maxQueuedMessages
        state = Mutex(State(run: run))
    }

    /// The run as it is now.
    public var snapshot: Run { state.withLock { $0.run } }

    func update(_ change: (inout Run) -> Void) {
        state.withLock { change(&$0.run) }
    }

    /// Tells watchers of the run's state.
    func publishState() { journal.publish(.runState(snapshot)) }

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
