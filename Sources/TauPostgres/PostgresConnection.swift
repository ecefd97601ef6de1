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
            try connection.open(configuration, onNotice)
        }
        return connection
    }

    private func open(
        _ configuration: PostgresConfiguration, _ onNotice: @escaping @Sendable (String) -> Void
    ) throws(PostgresError) {
        let box = LinkBox(try PostgresLink.connect(configuration, onNotice: onNotice))
        link.withLock { $0 = box.take() }
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
        let outcome = link.withLock { link -> Result<[Result<PostgresResult, PostgresError>], PostgresError> in
            guard link != nil else {
                return .failure(PostgresError(.connectionLost(wasSent: false), "the connection is closed"))
            }
            let outcome = Result { () throws(PostgresError) in
                try link?.run(statements, isAtomic: isAtomic, cancellation) ?? []
            }
            if Self.endsConnection(outcome) {
                isLost.store(true, ordering: .relaxed)
                link = nil
            }
            return outcome
        }
        return try outcome.get()
    }

    private static func endsConnection(
        _ outcome: Result<[Result<PostgresResult, PostgresError>], PostgresError>
    ) -> Bool {
        switch outcome {
        // A call that failed as a whole has left answers unread.
        case .failure: true
        case .success(let results):
            results.contains { result in
                guard case .failure(let error) = result else { return false }
                return error.endsConnection
            }
        }
    }

    /// Runs `body` in a transaction: it is committed if the body returns, and rolled back if it throws. The connection is
    /// the caller's alone meanwhile.
    package func transaction<Value: Sendable>(
        _ body: (PostgresConnection) async throws(PostgresError) -> Value
    ) async throws(PostgresError) -> Value {
        try await query("BEGIN")
        do throws(PostgresError) {
            let value = try await body(self)
            try await query("COMMIT")
            return value
        } catch {
            // A cancelled task could not say it any more, and a lost connection need not.
            if isUsable { await rollBack() }
            throw error
        }
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

/// Carries a link into the lock that keeps it.
private final class LinkBox: Sendable {
    private let link: Mutex<PostgresLink?>

    init(_ link: consuming sending PostgresLink) { self.link = Mutex(link) }

    func take() -> PostgresLink? { link.withLock { $0.take() } }
}
