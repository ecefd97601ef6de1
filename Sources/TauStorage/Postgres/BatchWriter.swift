internal import Logging
internal import Synchronization
internal import TauCore
internal import TauPostgres
internal import TauSystem

/// Writes the appends of all sessions, the states of runs and what the ledger can have carried, in batches: what comes while one is under
/// way is the next. An append returns once its batch is committed.
///
/// Each connection has a thread of its own. Where one is busy and much waits, the next one takes a part; a session is never on two.
/// They end with `close`.
final class BatchWriter: LedgerCarrier {
    typealias Outcome = Result<Void, StoreError>

    private struct Waiting {
        var append: SessionAppend
        var continuation: CheckedContinuation<Outcome, Never>
    }

    private struct State {
        var appends: [Waiting] = []
        /// When the first of them came.
        var firstAppendAt = 0
        /// The latest state of each run that is not written yet.
        var notes: [RunID: RunRecord] = [:]
        /// Operations of the ledger that go with the next batch, and since when the first of them waits.
        var rides: [LedgerRide] = []
        var firstRideAt: Int?
        /// Who waits for all that was noted before.
        var noteWaiters: [CheckedContinuation<Outcome, Never>] = []
        /// Sessions whose batch is under way.
        var busy: Set<[UInt8]> = []
        var isWorking: [Bool]
        var firstNoteAt: Int?
        var isClosed = false
        /// Called when all threads have ended.
        var enders: [CheckedContinuation<Void, Never>] = []
        var threads: Int
        var counts = Status()

        init(threads: Int) {
            self.threads = threads
            isWorking = Array(repeating: false, count: threads)
        }
    }

    /// What goes on, for metrics.
    struct Status: Sendable, Hashable {
        var waiting = 0
        var batches = 0
        var entries = 0
        var failures = 0
    }

    private let configuration: PostgresConfiguration
    private let limits: BatchLimits
    private let runs: RunRows
    private let logger: Logger
    private let signals: [WakeSignal]
    private let state: Mutex<State>

    init(
        _ configuration: PostgresConfiguration, limits: BatchLimits, runs: RunRows, logger: Logger
    ) throws(SystemError) {
        var configuration = configuration
        configuration.queryTimeoutMilliseconds = limits.timeoutMilliseconds
        self.configuration = configuration
        self.limits = limits
        self.runs = runs
        self.logger = logger
        signals = (0..<limits.connections).map { _ in WakeSignal() }
        state = Mutex(State(threads: limits.connections))
        for index in 0..<limits.connections { try SystemThread.start { self.work(index) } }
    }

    var status: Status {
        state.withLock { state in
            var status = state.counts
            status.waiting = state.appends.count
            return status
        }
    }

    // MARK: Handing over

    /// Returns once the append is committed; throws where it was not, or where nobody can tell.
    func append(_ append: SessionAppend) async throws(StoreError) {
        let outcome: Outcome = await withCheckedContinuation { continuation in
            let taken = state.withLock { state -> Result<Int?, StoreError> in
                if state.isClosed { return .failure(StoreError(.unavailable, "the store is closed")) }
                guard state.appends.count < limits.maxWaiting else {
                    return .failure(
                        StoreError(.unavailable, "\(limits.maxWaiting) appends wait for the database already"))
                }
                if state.appends.isEmpty { state.firstAppendAt = monotonicMilliseconds() }
                state.appends.append(Waiting(append: append, continuation: continuation))
                // What it carries is later than what was noted.
                for record in append.runs { state.notes[record.run.id] = nil }
                return .success(threadToWake(state))
            }
            switch taken {
            case .failure(let refusal): continuation.resume(returning: .failure(refusal))
            case .success(let thread): if let thread { signals[thread].wake() }
            }
        }
        try outcome.get()
    }

    /// The first thread is for everything; a further one for what is too much for those before it.
    private func threadToWake(_ state: borrowing State) -> Int? {
        guard let idle = state.isWorking.firstIndex(of: false) else { return nil }
        return state.appends.count > idle * limits.appendsPerConnection ? idle : nil
    }

    /// Takes a run's state down; it goes with the next append, or soon alone.
    func note(_ record: RunRecord) {
        let isFirst = state.withLock { state in
            state.notes[record.run.id] = record
            guard state.firstNoteAt == nil else { return false }
            state.firstNoteAt = monotonicMilliseconds()
            return true
        }
        if isFirst { signals[0].wake() }
    }

    func carry(_ ride: LedgerRide) -> Bool {
        let (isTaken, wakes) = state.withLock { state in
            guard !state.isClosed, state.rides.count < limits.maxWaiting else { return (false, false) }
            state.rides.append(ride)
            let wakes = !state.isWorking[0] && (ride.isUrgent || state.firstRideAt == nil)
            // One that is urgent counts as if it had waited.
            state.firstRideAt = ride.isUrgent ? 0 : state.firstRideAt ?? monotonicMilliseconds()
            return (true, wakes)
        }
        if wakes { signals[0].wake() }
        return isTaken
    }

    func flushRides() async throws(StoreError) { try await flushNotes() }

    /// Returns when everything that was noted before is written.
    func flushNotes() async throws(StoreError) {
        let outcome: Outcome = await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                if state.threads == 0 { return true }
                state.noteWaiters.append(continuation)
                return false
            }
            if isIdle { return continuation.resume(returning: .success(())) }
            signals[0].wake()
        }
        try outcome.get()
    }

    /// Writes what is left and ends the threads.
    func close() async {
        await withCheckedContinuation { continuation in
            let hasEnded = state.withLock { state in
                state.isClosed = true
                if state.threads > 0 { state.enders.append(continuation) }
                return state.threads == 0
            }
            if hasEnded { return continuation.resume() }
            for signal in signals { signal.wake() }
        }
    }

    // MARK: The threads

    private struct Batch {
        var appends: [Waiting] = []
        var notes: [RunRecord] = []
        var rides: [LedgerRide] = []
        var noteWaiters: [CheckedContinuation<Outcome, Never>] = []

        var isEmpty: Bool { appends.isEmpty && notes.isEmpty && rides.isEmpty && noteWaiters.isEmpty }
    }

    private enum Next {
        case batch(Batch)
        /// Nothing to do, for so long or until a signal comes.
        case wait(Int?)
        case end
    }

    private func work(_ index: Int) {
        var connection = BatchConnection(configuration, runs: runs)
        while true {
            switch next(index) {
            case .batch(let batch): write(batch, &connection)
            case .wait(let milliseconds):
                // Who appends one entry after the other comes back at once; a further thread is not needed so soon.
                signals[index].wait(
                    milliseconds: milliseconds, lookingMicroseconds: index == 0 ? limits.lookingMicroseconds : 0)
            case .end:
                let enders = state.withLock { state in
                    state.threads -= 1
                    return state.threads == 0 ? state.enders : []
                }
                for ender in enders { ender.resume() }
                return
            }
        }
    }

    private func next(_ index: Int) -> Next {
        state.withLock { state in
            let next = next(index, &state)
            if case .batch = next { state.isWorking[index] = true } else { state.isWorking[index] = false }
            return next
        }
    }

    private func next(_ index: Int, _ state: inout State) -> Next {
        // Only the first one takes the states of runs, which stay in their order, and the ledger, whose accounts it has locked then.
        guard index == 0 else {
            if state.isClosed { return .end }
            guard state.appends.count > index * limits.appendsPerConnection else { return .wait(nil) }
            let batch = takeBatch(&state, withNotes: false)
            return batch.appends.isEmpty ? .wait(nil) : .batch(batch)
        }
        let first = [state.firstNoteAt, state.firstRideAt].compactMap(\.self).min()
        let rest = first.map { $0 + limits.noteMilliseconds - monotonicMilliseconds() }
        let isNoteDue = !state.noteWaiters.isEmpty || rest.map { $0 <= 0 } ?? false
        let isClosing = state.isClosed && !(state.notes.isEmpty && state.rides.isEmpty)
        guard !state.appends.isEmpty || isNoteDue || isClosing else {
            if state.isClosed { return .end }
            return .wait(rest)
        }
        if !isNoteDue, !state.isClosed, state.appends.count < limits.maxEntries {
            let rest = limits.maxDelayMilliseconds - (monotonicMilliseconds() - state.firstAppendAt)
            if limits.maxDelayMilliseconds > 0, rest > 0 { return .wait(rest) }
        }
        let batch = takeBatch(&state, withNotes: true)
        // All that waits is for sessions that are under way; their end wakes this thread.
        return batch.isEmpty ? .wait(nil) : .batch(batch)
    }

    /// What fits into one batch, in the order in which it came. A session's second append waits for its first.
    private func takeBatch(_ state: inout State, withNotes: Bool) -> Batch {
        var batch = Batch()
        if withNotes {
            batch.notes = Array(state.notes.values)
            state.notes.removeAll(keepingCapacity: true)
            state.firstNoteAt = nil
            batch.rides = takeRides(&state)
            if state.rides.isEmpty {
                batch.noteWaiters = state.noteWaiters
                state.noteWaiters = []
            }
        } else if state.firstRideAt != nil {
            // Their appends may be in this batch: the first connection takes them as soon as it can.
            state.firstRideAt = 0
        }
        var entries = 0
        var bytes = 0
        var taken = 0
        var left: [Waiting] = []
        for waiting in state.appends {
            let count = waiting.append.entries.count
            let size = waiting.append.byteCount
            let isFull =
                entries > 0 && (entries + count > limits.maxEntries || bytes + size > limits.maxBytes)
            if isFull { break }
            taken += 1
            guard state.busy.insert(waiting.append.session).inserted else {
                left.append(waiting)
                continue
            }
            entries += count
            bytes += size
            batch.appends.append(waiting)
        }
        state.appends.replaceSubrange(..<taken, with: left)
        if !batch.appends.isEmpty { state.counts.batches += 1 }
        state.counts.entries += entries
        return batch
    }

    /// As many as one statement takes, and of one call one thing after the other.
    private func takeRides(_ state: inout State) -> [LedgerRide] {
        var calls: Set<String> = []
        var left: [LedgerRide] = []
        var taken: [LedgerRide] = []
        for ride in state.rides {
            if taken.count < Self.ridesPerBatch, calls.insert(ride.operation.callID).inserted {
                taken.append(ride)
            } else {
                left.append(ride)
            }
        }
        state.rides = left
        state.firstRideAt = left.isEmpty ? nil : 0
        return taken
    }

    private static let ridesPerBatch = 500
    /// Batches with which an operation is tried while others are at its accounts, unless somebody waits for all of them.
    private static let maxTries = 3

    private func write(_ batch: Batch, _ connection: inout BatchConnection) {
        let start = ContinuousClock.now
        let outcomes = outcomes(of: batch, &connection)
        Measurements.flushDuration.observe(since: start)
        if !batch.appends.isEmpty { Measurements.batchSize.observe(Double(batch.appends.count)) }
        let thread = state.withLock { state in
            for waiting in batch.appends { state.busy.remove(waiting.append.session) }
            return state.appends.isEmpty ? nil : threadToWake(state)
        }
        if let thread { signals[thread].wake() }
        if case .failure(let error) = outcomes.notes {
            logger.error("the states of runs were not written; that is tried again", metadata: ["reason": "\(error)"])
            keep(batch.notes)
        }
        for (waiting, outcome) in zip(batch.appends, outcomes.appends) {
            if case .failure = outcome { state.withLock { $0.counts.failures += 1 } }
            waiting.continuation.resume(returning: outcome)
        }
        end(batch.rides, outcomes.ledger, maxTries: batch.noteWaiters.isEmpty ? Self.maxTries : 1)
        for waiter in batch.noteWaiters { waiter.resume(returning: outcomes.notes) }
    }

    private func end(_ rides: [LedgerRide], _ answer: LedgerBatch.Answer?, maxTries: Int) {
        for var ride in rides {
            if let answer, answer.done.contains(ride.operation.callID) {
                ride.end(.done(answer.accounts))
                continue
            }
            ride.tries += 1
            // What it was to go with is written: now its call waits.
            if case .hold = ride.operation { ride.isUrgent = true }
            // Where all accounts were free there is no room, which another try does not change.
            let isTriedAgain = answer.map { $0.lacks(ride.operation) && ride.tries < maxTries } ?? false
            if !isTriedAgain || !carry(ride) { ride.end(.left) }
        }
    }

    private func failWaiting(_ error: StoreError) {
        let waiting = state.withLock { state in
            defer { state.appends = [] }
            return state.appends
        }
        for append in waiting { append.continuation.resume(returning: .failure(error)) }
    }

    /// Runs whose states could not be written are tried again in a while; a later state goes before.
    private func keep(_ notes: [RunRecord]) {
        state.withLock { state in
            guard !state.isClosed else { return }
            for record in notes where state.notes[record.run.id] == nil { state.notes[record.run.id] = record }
            state.firstNoteAt = state.firstNoteAt ?? monotonicMilliseconds() + Self.retryMilliseconds
        }
    }

    private static let retryMilliseconds = 1000

    private func outcomes(of batch: Batch, _ connection: inout BatchConnection) -> BatchConnection.Outcomes {
        do throws(PostgresError) {
            return try connection.write(
                batch.appends.map(\.append), notes: batch.notes, ledger: batch.rides.map(\.operation))
        } catch {
            // What is lost with the connection may have been committed: nobody can tell.
            let failure = StoreError(error)
            // Without a connection those behind it would wait for the same, one batch after the other.
            if error.code == .unavailable { failWaiting(failure) }
            return BatchConnection.Outcomes(
                appends: batch.appends.map { _ in .failure(failure) }, notes: .failure(failure))
        }
    }
}
