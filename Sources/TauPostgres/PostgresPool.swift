internal import Synchronization
internal import TauSystem

/// Connections that are shared: as many as are needed, up to a bound, and in the order in which they are asked for.
package final class PostgresPool: Sendable {
    package struct Limits: Sendable, Hashable {
        /// Connections at the most.
        package var maxConnections = 20
        /// Seconds after which a connection that nobody needs is closed.
        package var idleSeconds = 30
        /// Milliseconds that a caller waits for a connection at the most.
        package var waitMilliseconds = 5000
        /// Callers that wait; further ones are refused at once.
        package var maxWaiting = 10_000

        package init() {}
    }

    /// What goes on in the pool, for metrics.
    package struct Status: Sendable, Hashable {
        package var idle = 0
        package var inUse = 0
        package var waiting = 0
        /// Since the start.
        package var opened = 0
        package var lost = 0
        package var refused = 0
        package var retried = 0
    }

    private let configuration: PostgresConfiguration
    private let limits: Limits
    private let onNotice: @Sendable (String) -> Void
    private let state = Mutex(State())

    private struct State {
        /// The one used last is taken first, so that those too many grow old.
        var idle: [(connection: PostgresConnection, since: Int)] = []
        var inUse = 0
        var waiting: [Waiter] = []
        var nextWaiter = 0
        var isClosed = false
        var counts = Status()
    }

    private struct Waiter {
        var number: Int
        var continuation: CheckedContinuation<Grant, Never>
    }

    /// What a caller gets: a connection, the right to make one, or neither.
    private enum Grant: Sendable {
        case connection(PostgresConnection)
        case place
        case refused(PostgresError)
    }

    package init(
        _ configuration: PostgresConfiguration, limits: Limits = Limits(),
        onNotice: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.configuration = configuration
        self.limits = limits
        self.onNotice = onNotice
    }

    package var status: Status {
        state.withLock { state in
            var status = state.counts
            (status.idle, status.inUse, status.waiting) = (state.idle.count, state.inUse, state.waiting.count)
            return status
        }
    }

    // MARK: Use

    /// Runs `body` with a connection of its own for as long as it takes.
    package func withConnection<Value: Sendable>(
        _ body: (PostgresConnection) async throws(PostgresError) -> Value
    ) async throws(PostgresError) -> Value {
        let connection = try await take()
        do throws(PostgresError) {
            let value = try await body(connection)
            giveBack(connection)
            return value
        } catch {
            giveBack(connection)
            throw error
        }
    }

    /// Runs one statement. It is tried once more on another connection if the first one broke before it was sent, or, with
    /// `isRepeatable`, whenever.
    @discardableResult
    package func query(
        _ statement: PostgresStatement, isRepeatable: Bool = false
    ) async throws(PostgresError) -> PostgresResult {
        try await run([statement], isAtomic: true, isRepeatable: isRepeatable)[0].get()
    }

    /// Runs statements in one round trip, as `PostgresConnection.run`, with the same second try.
    package func run(
        _ statements: [PostgresStatement], isAtomic: Bool, isRepeatable: Bool = false
    ) async throws(PostgresError) -> [Result<PostgresResult, PostgresError>] {
        var mayRepeat = isRepeatable
        // After a restart of the server every idle connection is found broken, one after the other.
        for _ in 0..<limits.maxConnections {
            do throws(PostgresError) {
                return try await withConnection { connection throws(PostgresError) in
                    try await connection.run(statements, isAtomic: isAtomic)
                }
            } catch {
                guard case .connectionLost(let wasSent) = error.code, !wasSent || mayRepeat else { throw error }
                if wasSent { mayRepeat = false }
                state.withLock { $0.counts.retried += 1 }
            }
        }
        return try await withConnection { connection throws(PostgresError) in
            try await connection.run(statements, isAtomic: isAtomic)
        }
    }

    @discardableResult
    package func query(_ text: String, _ parameters: PostgresValue...) async throws(PostgresError) -> PostgresResult {
        try await query(PostgresStatement(text, parameters))
    }

    private func take() async throws(PostgresError) -> PostgresConnection {
        switch await grant() {
        case .connection(let connection): return connection
        case .refused(let error): throw error
        case .place:
            do throws(PostgresError) {
                let connection = try await PostgresConnection.connect(configuration, onNotice: onNotice)
                state.withLock { $0.counts.opened += 1 }
                return connection
            } catch {
                giveBack(nil)
                throw error
            }
        }
    }

    /// Waits for its turn; a cancelled caller and one whose time is over are refused.
    private func grant() async -> Grant {
        let (grant, number) = state.withLock { state -> (Grant?, Int) in
            if let grant = grantAtOnce(&state) { return (grant, 0) }
            state.nextWaiter += 1
            return (nil, state.nextWaiter)
        }
        if let grant { return grant }
        let timeout = PostgresError(.unavailable, "no database connection came free in time")
        return await withTaskGroup(of: Void.self) { group in
            group.addTask { [limits] in
                try? await Task.sleep(for: .milliseconds(limits.waitMilliseconds))
                if !Task.isCancelled { self.refuse(number, timeout) }
            }
            defer { group.cancelAll() }
            return await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let grant = state.withLock { state -> Grant? in
                        if let grant = grantAtOnce(&state) { return grant }
                        state.waiting.append(Waiter(number: number, continuation: continuation))
                        return nil
                    }
                    if let grant { continuation.resume(returning: grant) }
                    // It may have been cancelled before it waited.
                    if Task.isCancelled { refuse(number, PostgresError(.cancelled, "the query was cancelled")) }
                }
            } onCancel: {
                refuse(number, PostgresError(.cancelled, "the query was cancelled"))
            }
        }
    }

    private func grantAtOnce(_ state: inout State) -> Grant? {
        if state.isClosed { return .refused(PostgresError(.unavailable, "the database connections are closed")) }
        // Nobody overtakes those who wait.
        guard state.waiting.isEmpty else {
            guard state.waiting.count < limits.maxWaiting else {
                state.counts.refused += 1
                return .refused(PostgresError(.unavailable, "too many callers wait for a database connection"))
            }
            return nil
        }
        while let idle = state.idle.popLast() {
            guard idle.connection.isUsable else {
                state.counts.lost += 1
                continue
            }
            state.inUse += 1
            return .connection(idle.connection)
        }
        guard state.inUse < limits.maxConnections else { return nil }
        state.inUse += 1
        return .place
    }

    private func refuse(_ number: Int, _ error: PostgresError) {
        let waiter = state.withLock { state -> Waiter? in
            guard let index = state.waiting.firstIndex(where: { $0.number == number }) else { return nil }
            state.counts.refused += 1
            return state.waiting.remove(at: index)
        }
        waiter?.continuation.resume(returning: .refused(error))
    }

    /// Gives a place back to who waits longest, with its connection if there is one that can be used again.
    private func giveBack(_ connection: PostgresConnection?) {
        let usable = connection.flatMap { $0.isUsable ? $0 : nil }
        let waiter = state.withLock { state -> Waiter? in
            if connection != nil, usable == nil { state.counts.lost += 1 }
            if !state.waiting.isEmpty { return state.waiting.removeFirst() }
            state.inUse -= 1
            if let usable, !state.isClosed { state.idle.append((usable, monotonicMilliseconds())) }
            return nil
        }
        waiter?.continuation.resume(returning: usable.map(Grant.connection) ?? .place)
    }

    // MARK: Upkeep

    /// Closes connections that nobody has needed for a while, until the task is cancelled.
    package func maintain() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(max(1, limits.idleSeconds / 2)))
            await closeIdle(olderThan: monotonicMilliseconds() - limits.idleSeconds * 1000)
        }
    }

    func closeIdle(olderThan time: Int) async {
        let old = state.withLock { state in
            let old = state.idle.filter { $0.since < time }
            state.idle.removeAll { $0.since < time }
            return old
        }
        for (connection, _) in old { await connection.close() }
    }

    /// Refuses who waits and whoever comes, and closes what is idle. What is in use is closed when it is given back.
    package func close() async {
        let (idle, waiting) = state.withLock { state in
            state.isClosed = true
            defer { (state.idle, state.waiting) = ([], []) }
            return (state.idle, state.waiting)
        }
        let error = PostgresError(.unavailable, "the database connections are closed")
        for waiter in waiting { waiter.continuation.resume(returning: .refused(error)) }
        for (connection, _) in idle { await connection.close() }
    }
}
