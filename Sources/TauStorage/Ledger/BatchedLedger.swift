internal import Logging
internal import Synchronization
package import TauCore

/// One thing to be done with the ledger.
enum LedgerOperation: Sendable {
    case hold(HoldRequest)
    case settle(Charge)
    case add(Charge)
    /// Charges a hold in full of whose call nothing was heard.
    case expire(String)

    /// The hold that must be looked at.
    var holdID: String? { if case .add = self { nil } else { callID } }

    /// The call that it is about.
    var callID: String {
        switch self {
        case .hold(let request): request.id
        case .settle(let charge), .add(let charge): charge.id
        case .expire(let id): id
        }
    }

    /// Does it to the book; answers what became of a wish for a hold.
    func apply(to book: inout LedgerBook) -> HoldOutcome? {
        switch self {
        case .hold(let request): return book.hold(request)
        case .settle(let charge): book.settle(charge)
        case .add(let charge): book.add(charge)
        case .expire(let id): book.expire(id)
        }
        return nil
    }
}

/// Where the book is kept.
protocol LedgerBackend: Sendable {
    /// Does all operations in one transaction, in their order, with the accounts and holds that they touch locked; durable when it
    /// returns. Answers what became of each wish for a hold, and the accounts as they are then.
    func apply(
        _ operations: [LedgerOperation]
    ) async throws(StoreError) -> (outcomes: [HoldOutcome?], accounts: [String: BudgetState])

    /// What holds would be charged as that have expired before a time, up to so many.
    func expired(before time: Timestamp, limit: Int) async throws(StoreError) -> [Charge]

    func states(of accounts: [String]) async throws(StoreError) -> [String: BudgetState]
    func usage(_ query: UsageQuery) async throws(StoreError) -> [UsageGroup]
}

/// The ledger of one server: what comes while one transaction is under way is the next one, so that one hot account takes as many calls as
/// there are. Whoever has waited longest takes the next ones there for all; what nobody waits for goes along, or with `serve`.
///
/// With a carrier they go along with what is written anyway, and here goes what is left of them.
package final class BatchedLedger: Ledger {
    private enum Turn {
        /// Take yours, and all that wait behind it, to the book.
        case lead
        case done(Result<HoldOutcome?, StoreError>)
    }

    private struct Waiting {
        var operation: LedgerOperation?
        /// Nil where nobody waits for it.
        var continuation: CheckedContinuation<Turn, Never>?
        /// It is the one's who leads now.
        var isLeaders = false
    }

    private struct State {
        var waiting: [Waiting] = []
        var isLed = false
    }

    /// Operations of one transaction.
    private static let operationsPerTransaction = 500
    /// Holds that one sweep charges at once.
    private static let holdsPerSweep = 500
    private static let settlingDelay = Duration.milliseconds(20)
    /// Operations that wait; more are refused, and charges are said in the log instead.
    private static let maxWaiting = 100_000

    private let backend: any LedgerBackend
    private let carrier: (any LedgerCarrier)?
    private let logger: Logger
    private let state = Mutex(State())
    private let recent = RecentStates()
    private let (signals, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    init(_ backend: any LedgerBackend, carrier: (any LedgerCarrier)? = nil, logger: Logger) {
        self.backend = backend
        self.carrier = carrier
        self.logger = logger
    }

    // MARK: Handing over

    package func hold(_ request: HoldRequest) async throws(StoreError) -> HoldOutcome {
        try await begin(request, isUrgent: true).outcome()
    }

    package func begin(_ request: HoldRequest) -> PendingHold { begin(request, isUrgent: false) }

    private func begin(_ request: HoldRequest, isUrgent: Bool) -> PendingHold {
        let carried = CarriedHold()
        let isCarried =
            carrier?.carry(LedgerRide(operation: .hold(request), isUrgent: isUrgent, end: carried.end)) ?? false
        return PendingHold { () throws(StoreError) in
            if isCarried, case .done(let accounts) = await carried.outcome() {
                self.recent.begin(request)
                self.recent.note(accounts)
                return .granted(answerTokens: request.answerTokens, exceeded: request.exceeded(in: accounts))
            }
            guard let outcome = try await self.perform(.hold(request)) else { throw StoreError(.corrupt, "no outcome") }
            if outcome.isGranted { self.recent.begin(request) }
            return outcome
        }
    }

    package func settle(_ charge: Charge) {
        // A hold that was not granted here may be on its way to the book, and its charge must not overtake it.
        guard recent.end(charge) else { return takeDown(.settle(charge), charge) }
        carry(.settle(charge), charge)
    }

    package func add(_ charge: Charge) { carry(.add(charge), charge) }

    private func carry(_ operation: LedgerOperation, _ charge: Charge) {
        let ride = LedgerRide(operation: operation) { [self] outcome in
            switch outcome {
            case .done(let accounts): recent.note(accounts, after: [operation])
            case .left: takeDown(operation, charge)
            }
        }
        if carrier?.carry(ride) != true { takeDown(operation, charge) }
    }

    private func takeDown(_ operation: LedgerOperation, _ charge: Charge) {
        let isTaken = state.withLock { state -> Bool in
            guard state.waiting.count < Self.maxWaiting else { return false }
            state.waiting.append(Waiting(operation: operation))
            return true
        }
        if isTaken {
            signal.yield()
            return
        }
        recent.note([:], after: [operation])
        logger.error(
            "a model call could not be written into the ledger",
            metadata: ["call": "\(charge.id)", "tokens": "\(charge.tokens)", "nanoDollars": "\(charge.nanoDollars)"])
    }

    package func flush() async throws(StoreError) {
        // What cannot be carried is written here, and its failure told.
        try? await carrier?.flushRides()
        _ = try await perform(nil)
    }

    /// Writes what nobody waits for, soon after it has come, until the task is cancelled. Mostly a hold comes before, and takes it along.
    package func serve() async {
        for await _ in signals {
            do { try await Task.sleep(for: Self.settlingDelay) } catch { return }
            // What could not be written is said in the log, and tried again with what comes next.
            do throws(StoreError) { _ = try await perform(nil) } catch { continue }
        }
    }

    private func perform(_ operation: LedgerOperation?) async throws(StoreError) -> HoldOutcome? {
        let turn = await withCheckedContinuation { (continuation: CheckedContinuation<Turn, Never>) in
            let answer = state.withLock { state -> Turn? in
                guard state.isLed else {
                    state.isLed = true
                    state.waiting.append(Waiting(operation: operation, isLeaders: true))
                    return .lead
                }
                guard state.waiting.count < Self.maxWaiting else {
                    return .done(.failure(StoreError(.unavailable, "too much waits for the ledger already")))
                }
                state.waiting.append(Waiting(operation: operation, continuation: continuation))
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
        switch turn {
        case .done(let result): return try result.get()
        case .lead: return try await lead()
        }
    }

    // MARK: Writing

    /// Writes what waits up to the caller's operation and as much as fits, and hands the lead on.
    private func lead() async throws(StoreError) -> HoldOutcome? {
        var own: Result<HoldOutcome?, StoreError>?
        while own == nil { own = await write() }
        var hasFailed = if case .failure? = own { true } else { false }
        while true {
            switch next(hasFailed) {
            case .handOver(let continuation):
                continuation.resume(returning: .lead)
                return try own?.get() ?? nil
            case .goOn: if case .failure? = await write() { hasFailed = true }
            case .end: return try own?.get() ?? nil
            }
        }
    }

    private enum Next {
        case handOver(CheckedContinuation<Turn, Never>)
        /// Only what nobody waits for is left.
        case goOn
        /// All is done, or better left for later.
        case end
    }

    private func next(_ hasFailed: Bool) -> Next {
        state.withLock { state in
            for index in state.waiting.indices {
                guard let continuation = state.waiting[index].continuation else { continue }
                state.waiting[index].continuation = nil
                state.waiting[index].isLeaders = true
                return .handOver(continuation)
            }
            guard state.waiting.isEmpty || hasFailed else { return .goOn }
            state.isLed = false
            return .end
        }
    }

    /// One transaction, in the order in which things came. Answers what became of the leader's own; nil where it comes later. Where it
    /// fails, what nobody waits for is kept; where it fails because the leader was cancelled, all but the leader's is.
    private func write() async -> Result<HoldOutcome?, StoreError>? {
        let batch = state.withLock { state in
            let batch = Array(state.waiting.prefix(Self.operationsPerTransaction))
            state.waiting.removeFirst(batch.count)
            return batch
        }
        do throws(StoreError) {
            let operations = batch.compactMap(\.operation)
            var outcomes: ArraySlice<HoldOutcome?> = []
            if !operations.isEmpty {
                let applied = try await backend.apply(operations)
                outcomes = applied.outcomes[...]
                recent.note(applied.accounts, after: operations)
            }
            var own: Result<HoldOutcome?, StoreError>?
            for waiting in batch {
                let outcome = waiting.operation == nil ? nil : outcomes.removeFirst()
                if waiting.isLeaders { own = .success(outcome) }
                waiting.continuation?.resume(returning: .done(.success(outcome)))
            }
            return own
        } catch {
            // Whatever was written after all changes nothing when it is written again.
            let isLeadersAlone = Task.isCancelled
            var kept: [Waiting] = []
            for waiting in batch where !waiting.isLeaders {
                if let continuation = waiting.continuation, !isLeadersAlone {
                    continuation.resume(returning: .done(.failure(error)))
                } else {
                    kept.append(waiting)
                }
            }
            state.withLock { state in
                state.waiting.removeAll(where: \.isLeaders)
                state.waiting = kept + state.waiting
            }
            logger.warning("the ledger cannot be written; it is tried again", metadata: ["reason": "\(error)"])
            return .failure(error)
        }
    }

    /// Charges holds that have expired, and tries again to write what could not be written. What a call has used is read in its session;
    /// where nobody knows it is all that was held.
    package func sweep(at time: Timestamp, _ sessions: some SessionStore) async throws(StoreError) {
        var failure: StoreError?
        for charge in try await backend.expired(before: time, limit: Self.holdsPerSweep) {
            do throws(StoreError) {
                if let known = try await found(charge, sessions) {
                    settle(known)
                } else {
                    _ = try await perform(.expire(charge.id))
                }
            } catch {
                // The holds of other sessions do not wait for this one.
                failure = error
            }
        }
        try await flush()
        if let failure { throw failure }
    }

    private func found(_ charge: Charge, _ sessions: some SessionStore) async throws(StoreError) -> Charge? {
        do throws(StoreError) {
            return charge.found(in: SessionTree(try await sessions.read(charge.sessionID)))
        } catch {
            // A session that can never be read must not keep its hold for ever.
            guard error.code == .notFound || error.code == .corrupt else { throw error }
            return nil
        }
    }

    // MARK: Reading

    package func states(of accounts: [String]) async throws(StoreError) -> [String: BudgetState] {
        try await backend.states(of: accounts)
    }

    package func recentStates(of accounts: [String]) async throws(StoreError) -> [String: BudgetState] {
        if let known = recent.states(of: accounts) { return known }
        let states = try await states(of: accounts)
        recent.note(states)
        return states
    }

    package func usage(_ query: UsageQuery) async throws(StoreError) -> [UsageGroup] {
        try await flush()
        return try await backend.usage(query)
    }
}
