internal import Logging
internal import Synchronization
package import TauCore

/// One thing to be done with the ledger.
enum LedgerOperation: Sendable {
    case hold(HoldRequest)
    case settle(Charge)
    case add(Charge)
    /// Charges holds of which nothing was heard, up to so many.
    case expire(before: Timestamp, limit: Int)

    /// The holds that must be looked at.
    var holdID: String? {
        switch self {
        case .hold(let request): request.id
        case .settle(let charge): charge.id
        case .add, .expire: nil
        }
    }

    /// Does it to the book; answers what became of a wish for a hold.
    func apply(to book: inout LedgerBook) -> HoldOutcome? {
        switch self {
        case .hold(let request): return book.hold(request)
        case .settle(let charge): book.settle(charge)
        case .add(let charge): book.add(charge)
        case .expire(let time, _):
            for hold in book.holds.values where hold.expiresAt < time { book.expire(hold.id) }
        }
        return nil
    }
}

/// Where the book is kept.
protocol LedgerBackend: Sendable {
    /// Does all operations in one transaction, in their order, with the accounts and holds that they touch locked; durable when it
    /// returns.
    func apply(_ operations: [LedgerOperation]) async throws(StoreError) -> [HoldOutcome?]

    func states(of accounts: [String]) async throws(StoreError) -> [String: BudgetState]
    func usage(_ query: UsageQuery) async throws(StoreError) -> [UsageGroup]
}

/// The ledger of one server: what comes while one transaction is under way is the next one, so that one hot account takes as many calls as
/// there are.
package final class BatchedLedger: Ledger {
    private enum Waiter {
        case hold(CheckedContinuation<Result<HoldOutcome, StoreError>, Never>)
        case flush(CheckedContinuation<Result<Void, StoreError>, Never>)
        case nobody
    }

    private struct State {
        var waiting: [(operation: LedgerOperation?, waiter: Waiter)] = []
        var isWorking = false
    }

    /// Operations of one transaction.
    private static let operationsPerTransaction = 500
    /// Holds that one sweep charges at once.
    private static let holdsPerSweep = 500
    /// Operations that wait; more are refused, and charges are said in the log instead.
    private static let maxWaiting = 100_000

    private let backend: any LedgerBackend
    private let logger: Logger
    private let state = Mutex(State())

    init(_ backend: any LedgerBackend, logger: Logger) {
        self.backend = backend
        self.logger = logger
    }

    // MARK: Handing over

    package func hold(_ request: HoldRequest) async throws(StoreError) -> HoldOutcome {
        let result: Result<HoldOutcome, StoreError> = await withCheckedContinuation { continuation in
            if !enqueue(.hold(request), .hold(continuation)) {
                continuation.resume(returning: .failure(Self.overload))
            }
        }
        return try result.get()
    }

    private static let overload = StoreError(.unavailable, "too much waits for the ledger already")

    package func settle(_ charge: Charge) { takeDown(.settle(charge), charge) }

    package func add(_ charge: Charge) { takeDown(.add(charge), charge) }

    private func takeDown(_ operation: LedgerOperation, _ charge: Charge) {
        guard !enqueue(operation, .nobody) else { return }
        logger.error(
            "a model call could not be written into the ledger",
            metadata: ["call": "\(charge.id)", "tokens": "\(charge.tokens)", "nanoDollars": "\(charge.nanoDollars)"])
    }

    package func flush() async throws(StoreError) {
        let result: Result<Void, StoreError> = await withCheckedContinuation { continuation in
            if !enqueue(nil, .flush(continuation)) { continuation.resume(returning: .failure(Self.overload)) }
        }
        try result.get()
    }

    private func enqueue(_ operation: LedgerOperation?, _ waiter: Waiter) -> Bool {
        let (isTaken, begins) = state.withLock { state -> (Bool, Bool) in
            guard state.waiting.count < Self.maxWaiting else { return (false, false) }
            state.waiting.append((operation, waiter))
            defer { state.isWorking = true }
            return (true, !state.isWorking)
        }
        // Ends when nothing is left; `flush` waits for that, and so does the end of the process.
        if begins { Task { await work() } }
        return isTaken
    }

    // MARK: Writing

    private func work() async {
        while true {
            let batch = state.withLock { state in
                let batch = Array(state.waiting.prefix(Self.operationsPerTransaction))
                state.waiting.removeFirst(batch.count)
                if batch.isEmpty { state.isWorking = false }
                return batch
            }
            guard !batch.isEmpty else { return }
            guard await write(batch) else { return }
        }
    }

    /// False where the ledger cannot be written now: what nobody waits for is kept, until something else is to be written.
    private func write(_ batch: [(operation: LedgerOperation?, waiter: Waiter)]) async -> Bool {
        do throws(StoreError) {
            let operations = batch.compactMap(\.operation)
            var outcomes = operations.isEmpty ? [][...] : try await backend.apply(operations)[...]
            for (operation, waiter) in batch {
                let outcome = operation == nil ? nil : outcomes.removeFirst()
                switch waiter {
                case .hold(let continuation):
                    continuation.resume(
                        returning: outcome.map { .success($0) } ?? .failure(StoreError(.corrupt, "no outcome")))
                case .flush(let continuation): continuation.resume(returning: .success(()))
                case .nobody: break
                }
            }
            return true
        } catch {
            var kept: [(operation: LedgerOperation?, waiter: Waiter)] = []
            for (operation, waiter) in batch {
                switch waiter {
                case .hold(let continuation): continuation.resume(returning: .failure(error))
                case .flush(let continuation): continuation.resume(returning: .failure(error))
                case .nobody: kept.append((operation, waiter))
                }
            }
            logger.warning("the ledger cannot be written; it is tried again", metadata: ["reason": "\(error)"])
            return state.withLock { state in
                let isMore = !state.waiting.isEmpty
                state.waiting = kept + state.waiting
                state.isWorking = isMore
                return isMore
            }
        }
    }

    /// Charges holds that have expired, and tries again to write what could not be written.
    package func sweep(at time: Timestamp) async throws(StoreError) {
        _ = enqueue(.expire(before: time, limit: Self.holdsPerSweep), .nobody)
        try await flush()
    }

    // MARK: Reading

    package func states(of accounts: [String]) async throws(StoreError) -> [String: BudgetState] {
        try await backend.states(of: accounts)
    }

    package func usage(_ query: UsageQuery) async throws(StoreError) -> [UsageGroup] {
        try await flush()
        return try await backend.usage(query)
    }
}
