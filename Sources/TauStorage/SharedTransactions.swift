internal import GRDB
internal import Synchronization
internal import TauCore

/// Puts the changes of many callers into one transaction of a SQLite file: what comes while one is on its way is the next one, and
/// all of it costs one `fsync`.
final class SharedTransactions: Sendable {
    private typealias Change = @Sendable (Database) throws -> Void

    private struct State {
        var changes: [Change] = []
        var waiters: [CheckedContinuation<Result<Void, StoreError>, Never>] = []
        var isWriting = false
    }

    private let file: DatabaseFile
    private let state = Mutex(State())

    init(file: DatabaseFile) { self.file = file }

    /// Runs `body` in a transaction that is durable when this returns. If one change of a transaction fails, all of them do.
    func write<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(StoreError) -> Value {
        let value = Mutex<Value?>(nil)
        let result: Result<Void, StoreError> = await withCheckedContinuation { continuation in
            let begins = state.withLock { state in
                state.changes.append { db in
                    let made = try body(db)
                    value.withLock { $0 = made }
                }
                state.waiters.append(continuation)
                defer { state.isWriting = true }
                return !state.isWriting
            }
            if begins { file.submit { self.writePending() } }
        }
        try result.get()
        guard let value = value.withLock({ $0 }) else {
            throw StoreError(.unavailable, "a change was not made")
        }
        return value
    }

    /// On a thread of its own; ends when nothing is left.
    private func writePending() {
        while true {
            let (changes, waiters) = state.withLock { state in
                defer {
                    state.changes = []
                    state.waiters = []
                }
                if state.waiters.isEmpty { state.isWriting = false }
                return (state.changes, state.waiters)
            }
            guard !waiters.isEmpty else { return }
            let result = Result { () throws(StoreError) in
                try file.use { queue in
                    try queue.write { db in for change in changes { try change(db) } }
                }
            }
            for waiter in waiters { waiter.resume(returning: result) }
        }
    }
}
