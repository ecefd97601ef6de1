internal import Logging
internal import Synchronization
internal import TauCore
internal import TauPostgres
internal import TauSystem

/// Writes the appends of all sessions, and the states of runs, in batches: what comes while one is under way is the next. An append
/// returns once its batch is committed.
///
/// Each connection has a thread of its own. Where one is busy and much waits, the next one takes a part; a session is never on two.
/// They end with `close`.
final class BatchWriter: Sendable {
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
        var noteWaiters: [CheckedContinuation<Outcome, Never>] = []
    }

    private enum Next {
        case batch(Batch)
        /// Nothing to do, for so long or until a signal comes.
        case wait(Int?)
        case end
    }

    private func work(_ index: Int) {
        var link: PostgresLink?
        while true {
            switch next(index) {
            case .batch(let batch): write(batch, &link)
            case .wait(let milliseconds):
                // Who appends one entry after the other comes back at once; a further thread is not needed so soon.
                signals[index].wait(
                    milliseconds: milliseconds, lookingMicroseconds: index == 0 ? limits.lookingMicroseconds : 0)
            case .end:
                link = nil
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
        // Only the first one takes the states of runs: they stay in their order.
        guard index == 0 else {
            if state.isClosed { return .end }
            guard state.appends.count > index * limits.appendsPerConnection else { return .wait(nil) }
            let batch = takeBatch(&state, withNotes: false)
            return batch.appends.isEmpty ? .wait(nil) : .batch(batch)
        }
        let age = state.firstNoteAt.map { monotonicMilliseconds() - $0 }
        let isNoteDue = !state.noteWaiters.isEmpty || age.map { $0 >= limits.noteMilliseconds } ?? false
        guard !state.appends.isEmpty || isNoteDue || (state.isClosed && !state.notes.isEmpty) else {
            if state.isClosed { return .end }
            return .wait(age.map { max(1, limits.noteMilliseconds - $0) })
        }
        if !isNoteDue, !state.isClosed, state.appends.count < limits.maxEntries {
            let rest = limits.maxDelayMilliseconds - (monotonicMilliseconds() - state.firstAppendAt)
            if limits.maxDelayMilliseconds > 0, rest > 0 { return .wait(rest) }
        }
        let batch = takeBatch(&state, withNotes: true)
        // All that waits is for sessions that are under way; their end wakes this thread.
        if batch.appends.isEmpty, batch.notes.isEmpty, batch.noteWaiters.isEmpty { return .wait(nil) }
        return .batch(batch)
    }

    /// What fits into one batch, in the order in which it came. A session's second append waits for its first.
    private func takeBatch(_ state: inout State, withNotes: Bool) -> Batch {
        var batch = Batch()
        if withNotes {
            batch.notes = Array(state.notes.values)
            batch.noteWaiters = state.noteWaiters
            state.notes.removeAll(keepingCapacity: true)
            state.noteWaiters = []
            state.firstNoteAt = nil
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

    private func write(_ batch: Batch, _ link: inout PostgresLink?) {
        let start = ContinuousClock.now
        let outcomes = outcomes(of: batch, &link)
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
        for waiter in batch.noteWaiters { waiter.resume(returning: outcomes.notes) }
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

    private func outcomes(of batch: Batch, _ link: inout PostgresLink?) -> (appends: [Outcome], notes: Outcome) {
        do throws(PostgresError) {
            return try exchange(batch, &link)
        } catch {
            // What is lost with the connection may have been committed: nobody can tell.
            let failure = StoreError(error)
            // Without a connection those behind it would wait for the same, one batch after the other.
            if error.code == .unavailable { failWaiting(failure) }
            return (batch.appends.map { _ in .failure(failure) }, .failure(failure))
        }
    }

    private func exchange(
        _ batch: Batch, _ link: inout PostgresLink?
    ) throws(PostgresError) -> (appends: [Outcome], notes: Outcome) {
        let appends = batch.appends.map(\.append)
        var statements: [PostgresStatement] = []
        if !appends.isEmpty { statements.append(AppendBatch.statement(appends, runs)) }
        let notes = batch.notes.isEmpty ? nil : runs.statement(batch.notes)
        if let notes { statements.append(notes) }
        guard !statements.isEmpty else { return ([], .success(())) }
        let results = try send(statements, isAtomic: true, &link)
        if let failure = results.lazy.compactMap(\.failure).first {
            guard failure.state != nil, !failure.endsConnection else { throw failure }
            return try isolate(appends, notes, &link)
        }
        let made = appends.isEmpty ? [] : try AppendBatch.made(try results[0].get())
        return (appends.indices.map { made.contains($0) ? .success(()) : Self.refused }, .success(()))
    }

    /// One of them is bad: each goes alone, so that the others are not touched by it.
    private func isolate(
        _ appends: [SessionAppend], _ notes: PostgresStatement?, _ link: inout PostgresLink?
    ) throws(PostgresError) -> (appends: [Outcome], notes: Outcome) {
        let statements = appends.map { AppendBatch.statement([$0], runs) } + (notes.map { [$0] } ?? [])
        let results = try send(statements, isAtomic: false, &link)
        let outcomes = results.prefix(appends.count).map { result -> Outcome in
            do throws(PostgresError) {
                return try AppendBatch.made(try result.get()).isEmpty ? Self.refused : .success(())
            } catch {
                return .failure(StoreError(error))
            }
        }
        let noted = notes == nil ? nil : results.last?.failure
        return (outcomes, noted.map { .failure(StoreError($0)) } ?? .success(()))
    }

    private static let refused = Outcome.failure(
        StoreError(.conflict, "the session's last entry is not the expected one, or another server has its lease"))

    private func connect() throws(PostgresError) -> PostgresLink {
        var link = try PostgresLink.connect(configuration) { _ in }
        // Without them each execution is planned for the tables as they are.
        guard configuration.preparesStatements else { return link }
        for result in try link.run(AppendBatch.planning, isAtomic: true) { _ = try result.get() }
        return link
    }

    /// Sends on a connection that is made if there is none, and once more on a new one where nothing was sent.
    private func send(
        _ statements: [PostgresStatement], isAtomic: Bool, _ link: inout PostgresLink?
    ) throws(PostgresError) -> [Result<PostgresResult, PostgresError>] {
        for _ in 0..<2 {
            if link == nil { link = try connect() }
            do throws(PostgresError) {
                guard let results = try link?.run(statements, isAtomic: isAtomic) else { break }
                if (link?.isSpent ?? true) || results.contains(where: { $0.failure?.endsConnection == true }) {
                    link = nil
                }
                return results
            } catch {
                link = nil
                guard error.code == .connectionLost(wasSent: false) else { throw error }
            }
        }
        throw PostgresError(.connectionLost(wasSent: false), "the connection breaks as soon as it is made")
    }
}

extension Result {
    fileprivate var failure: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }
}
