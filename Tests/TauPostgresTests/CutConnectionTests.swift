import TauSystem
import TauTestKit
import Testing

@testable import TauPostgres

/// A connection that breaks at any place of what is said on it.
@Suite(.ownThreads, .timeLimit(.minutes(3))) struct CutConnectionTests {
    @Test(arguments: CuttingProxy.Direction.allCases)
    func `wherever it breaks, what is told is true and the pool goes on`(
        _ direction: CuttingProxy.Direction
    ) async throws {
        let server = try PostgresServer()
        let proxy = try CuttingProxy(to: server.port)
        let direct = PostgresPool(PostgresConfiguration(url: server.url()))
        try await direct.query("CREATE TABLE t (id int8)")
        var told: [String: Int] = [:]
        // The greeting, the login, the preparation, the execution and the end are some 1,000 bytes each way.
        for bytes in stride(from: 0, to: 1200, by: 7) {
            proxy.cutConnections(direction, after: bytes)
            var configuration = PostgresConfiguration(url: server.url(port: proxy.port) + "?sslmode=disable")
            configuration.connectTimeoutMilliseconds = 10_000
            var limits = PostgresPool.Limits()
            limits.maxConnections = 2
            let pool = PostgresPool(configuration, limits: limits)
            let insert = PostgresStatement("INSERT INTO t VALUES ($1)", [.integer(Int64(bytes))])
            var mayBeThere = true
            var mustBeThere = false
            do throws(PostgresError) {
                try await pool.query(insert)
                mustBeThere = true
                told["done", default: 0] += 1
            } catch {
                switch error.code {
                case .unavailable, .connectionLost(wasSent: false): mayBeThere = false
                case .connectionLost(wasSent: true): break
                default: Issue.record("after \(bytes) bytes: \(error.code) \(error)")
                }
                told["\(error.code)", default: 0] += 1
            }
            let found = try await direct.query("SELECT count(*) FROM t WHERE id = $1", .integer(Int64(bytes)))
            let count = try found.rows[0].integer(0)
            #expect(count <= (mayBeThere ? 1 : 0), "after \(bytes) bytes")
            #expect(count >= (mustBeThere ? 1 : 0), "after \(bytes) bytes")
            proxy.passEverything()
            #expect(try await pool.query("SELECT 1").rows.count == 1, "after \(bytes) bytes")
            await pool.close()
        }
        // Each kind of end has been met.
        #expect(told.count == 3, "\(told)")
        await direct.close()
    }
}
