internal import Synchronization
internal import TauSystem

/// A connection to PostgreSQL with a thread of its own, on which everything of it happens. Calls are answered in their
/// order; a cancelled one is cancelled in the server, too.
package final class PostgresConnection: Sendable {
    private let thread = BlockingThreads(count: 1)
    /// Locked by that thread alone; nil before the connection is made and once it is of no use.
    private let link = Mutex<PostgresLink?>(nil)
    private let isLost = Atomic(false)

    private init() {}

    /// Connects. Throws `unavailable` if that does not succeed in time.
    package static func connect(
        _ configuration: PostgresConfiguration, onNotice: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws(PostgresError) -> PostgresConnection {
        let connection = PostgresConnection()
        try await connection.thread.run { () throws(PostgresError) in
            try connection.link.withLock { link throws(PostgresError) in
                link = try PostgresLink.connect(configuration, onNotice: onNotice)
            }
        }
        return connection
    }

    /// Whether it can be used again.
    package var isUsable: Bool { !isLost.load(ordering: .relaxed) }

    /// Runs one statement.
    @discardableResult
    package func query(_ statement: PostgresStatement) async throws(PostgresError) -> PostgresResult {
        try await run([statement], isAtomic: true)[0].get()
    }

    @discardableResult
    package func query(_ text: String, _ parameters: PostgresValue...) async throws(PostgresError) -> PostgresResult {
        try await query(PostgresStatement(text, parameters))
    }

    /// Runs statements in one round trip; see `PostgresLink.run`.
    package func run(
        _ statements: [PostgresStatement], isAtomic: Bool
    ) async throws(PostgresError) -> [Result<PostgresResult, PostgresError>] {
        guard !statements.isEmpty else { return [] }
        let cancellation: EventDescriptor
        do throws(SystemError) {
            cancellation = try EventDescriptor()
        } catch {
            throw PostgresError(.unavailable, "no query can be made: \(error.reason)")
        }
        let result: Result<[Result<PostgresResult, PostgresError>], PostgresError>
        result = await withTaskCancellationHandler {
            await thread.run {
                Result { () throws(PostgresError) in try self.exchange(statements, isAtomic: isAtomic, cancellation) }
            }
        } onCancel: {
            cancellation.signal()
        }
        return try result.get()
    }

    private func exchange(
        _ statements: [PostgresStatement], isAtomic: Bool, _ cancellation: EventDescriptor
    ) throws(PostgresError) -> [Result<PostgresResult, PostgresError>] {
        try link.withLock { link throws(PostgresError) in
            // A call that fails as a whole leaves answers unread.
            var isOver = true
            defer {
                if isOver {
                    isLost.store(true, ordering: .relaxed)
                    link = nil
                }
            }
            guard let results = try link?.run(statements, isAtomic: isAtomic, cancellation) else {
                throw PostgresError(.connectionLost(wasSent: false), "the connection is closed")
            }
            isOver =
                link?.isSpent ?? true
                || results.contains { result in
                    guard case .failure(let error) = result else { return false }
                    return error.endsConnection
                }
            return results
        }
    }

    /// Runs `body` in a transaction: it is committed if the body returns, and rolled back if it throws. The connection is
    /// the caller's alone meanwhile.
    package func transaction<Value: Sendable>(
        _ body: (PostgresConnection) async throws(PostgresError) -> Value
    ) async throws(PostgresError) -> Value {
        try await transaction(after: []) { connection, _ throws(PostgresError) in (try await body(connection), []) }
    }

    /// The same with statements that begin and end the transaction, each in one round trip with that: `body` gets what the `first`
    /// ones answered, and gives the last ones, whose answers nobody needs.
    package func transaction<Value: Sendable>(
        after first: [PostgresStatement],
        _ body: (PostgresConnection, [PostgresResult]) async throws(PostgresError) -> (Value, [PostgresStatement])
    ) async throws(PostgresError) -> Value {
        do throws(PostgresError) {
            let begun = try await results(of: [PostgresStatement("BEGIN")] + first)
            let (value, last) = try await body(self, Array(begun.dropFirst()))
            // The server takes it for ROLLBACK where a statement has failed and nobody said so.
            guard try await results(of: last + [PostgresStatement("COMMIT")]).last?.command == "COMMIT" else {
                throw PostgresError(
                    .refused(.failedTransaction), "the transaction was rolled back: a statement failed in it")
            }
            return value
        } catch {
            // A cancelled task could not say it any more, and a lost connection need not.
            if isUsable { await rollBack() }
            throw error
        }
    }

    /// What each of the statements answers, in one round trip; throws the first one's error that fails.
    private func results(of statements: [PostgresStatement]) async throws(PostgresError) -> [PostgresResult] {
        var results: [PostgresResult] = []
        for result in try await run(statements, isAtomic: true) { results.append(try result.get()) }
        return results
    }

    private func rollBack() async {
        guard let event = try? EventDescriptor() else { return isLost.store(true, ordering: .relaxed) }
        await thread.run {
            if (try? self.exchange([PostgresStatement("ROLLBACK")], isAtomic: true, event)) == nil {
                self.isLost.store(true, ordering: .relaxed)
            }
        }
    }

    /// Ends the connection, after what has been asked for before.
    package func close() async {
        isLost.store(true, ordering: .relaxed)
        await thread.run { self.link.withLock { $0 = nil } }
    }
}
