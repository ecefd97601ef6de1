import TauTestKit
import Testing

@testable import TauPostgres

/// Through a real pgbouncer that gives a connection of the server's to another client after each transaction.
@Suite(.ownThreads, .timeLimit(.minutes(2))) struct ProxyTests {
    @Test func `clients that share the server's connections get their own answers`() async throws {
        let server = try PostgresServer()
        let proxy = try PgBouncer(server)
        defer { withExtendedLifetime(proxy) {} }
        var limits = PostgresPool.Limits()
        limits.maxConnections = 6
        limits.waitMilliseconds = 60_000
        var configuration = PostgresConfiguration(url: server.url(port: proxy.port))
        configuration.connectTimeoutMilliseconds = 10_000
        let pool = PostgresPool(configuration, limits: limits)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in 0..<12 {
                group.addTask {
                    for round in 0..<30 {
                        // Few texts, so that many clients prepare the same, and each statement says which it was.
                        let kind = (client + round) % 4
                        let number = Int64(client * 1000 + round)
                        let result = try await pool.query("SELECT \(kind), $1::int8", .integer(number))
                        #expect(try result.rows[0].integer(0) == kind && result.rows[0].integer(1) == number)
                    }
                }
            }
            try await group.waitForAll()
        }
        let sum = try await pool.withConnection { connection throws(PostgresError) in
            try await connection.transaction { connection throws(PostgresError) in
                try await connection.query("CREATE TEMPORARY TABLE t (n int8) ON COMMIT DROP")
                for number in 0..<10 {
                    try await connection.query("INSERT INTO t VALUES ($1)", .integer(Int64(number)))
                }
                return try await connection.query("SELECT sum(n)::int8 FROM t").rows[0].integer(0)
            }
        }
        #expect(sum == 45)
    }
}
