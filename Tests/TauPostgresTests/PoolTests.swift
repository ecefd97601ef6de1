import Glibc
import Synchronization
import TauTestKit
import Testing

@testable import TauPostgres

private final class Order: Sendable {
    let numbers = Mutex<[Int]>([])
}

/// Shared connections, against a real server.
@Suite(.ownThreads, .timeLimit(.minutes(2))) struct PoolTests {
    private static let server = Result { try PostgresServer() }

    private func pool(
        _ change: (inout PostgresPool.Limits, inout PostgresConfiguration) -> Void = { _, _ in }
    ) throws -> PostgresPool {
        var configuration = PostgresConfiguration(url: try Self.server.get().url())
        configuration.connectTimeoutMilliseconds = 10_000
        var limits = PostgresPool.Limits()
        change(&limits, &configuration)
        return PostgresPool(configuration, limits: limits)
    }

    @Test func `no more connections are made than allowed, and all are used again`() async throws {
        let pool = try pool { limits, _ in
            limits.maxConnections = 3
            limits.waitMilliseconds = 60_000
        }
        let pids = try await withThrowingTaskGroup(of: Int64.self) { group in
            for _ in 0..<60 {
                group.addTask { try await pool.query("SELECT pg_backend_pid()::int8").rows[0].integer(0) }
            }
            return try await group.reduce(into: Set<Int64>()) { $0.insert($1) }
        }
        #expect(pids.count <= 3)
        #expect(pool.status.opened <= 3 && pool.status.inUse == 0 && pool.status.waiting == 0)
        await pool.close()
        let closed = await #expect(throws: PostgresError.self) { try await pool.query("SELECT 1") }
        #expect(closed?.code == .unavailable)
    }

    @Test func `who waits is served in order, refused in time, and may be cancelled`() async throws {
        let pool = try pool { limits, _ in
            limits.maxConnections = 1
            limits.waitMilliseconds = 100
        }
        let order = Order()
        try await pool.withConnection { _ throws(PostgresError) in
            let late = await #expect(throws: PostgresError.self) { try await pool.query("SELECT 1") }
            #expect(late?.code == .unavailable)
            let task = Task { try await pool.query("SELECT 1") }
            task.cancel()
            let cancelled = await #expect(throws: PostgresError.self) { try await task.value }
            #expect(cancelled?.code == .cancelled)
        }
        let patient = try self.pool { limits, _ in
            limits.maxConnections = 1
            limits.waitMilliseconds = 60_000
        }
        let tasks = try await patient.withConnection { _ throws(PostgresError) in
            var tasks: [Task<Void, any Error>] = []
            for number in 0..<5 {
                tasks.append(
                    Task {
                        try await patient.withConnection { _ throws(PostgresError) in
                            order.numbers.withLock { $0.append(number) }
                        }
                    })
                // The next one comes when this one waits.
                while patient.status.waiting == number { await Task.yield() }
            }
            return tasks
        }
        for task in tasks { try await task.value }
        #expect(order.numbers.withLock { $0 } == [0, 1, 2, 3, 4])
        #expect(patient.status.opened == 1)
    }

    @Test func `a connection that broke while idle is replaced, and nobody notices`() async throws {
        let pool = try pool { limits, _ in limits.maxConnections = 1 }
        let pid = try await pool.query("SELECT pg_backend_pid()::int8").rows[0].integer(0)
        let other = try self.pool()
        try await other.query("SELECT pg_terminate_backend($1::int4, 5000)", .integer(pid))
        let next = try await pool.query("SELECT pg_backend_pid()::int8")
        #expect(try next.rows[0].integer(0) != pid)
        #expect(pool.status.lost == 1 && pool.status.retried == 1 && pool.status.opened == 2)
    }

    @Test func `connections that nobody needs are closed`() async throws {
        let pool = try pool()
        try await pool.query("SELECT 1")
        #expect(pool.status.idle == 1)
        await pool.closeIdle(olderThan: .max)
        #expect(pool.status.idle == 0)
        try await pool.query("SELECT 1")
        #expect(pool.status.opened == 2)
    }

    @Test func `while the server takes nobody new, new callers are told so and old connections go on`() async throws {
        let server = try PostgresServer()
        var configuration = PostgresConfiguration(url: server.url())
        configuration.connectTimeoutMilliseconds = 300
        configuration.queryTimeoutMilliseconds = 300
        let pool = PostgresPool(configuration)
        try await pool.query("SELECT 1")
        // A server that is frozen neither answers nor hangs up. Its processes for the connections that it has go on.
        server.send(SIGSTOP)
        let cold = await #expect(throws: PostgresError.self) {
            _ = try await PostgresConnection.connect(configuration)
        }
        #expect(cold?.code == .unavailable)
        try await pool.query("SELECT 1")
        server.send(SIGCONT)
        configuration.connectTimeoutMilliseconds = 10_000
        try await PostgresPool(configuration).query("SELECT 1")
    }
}
