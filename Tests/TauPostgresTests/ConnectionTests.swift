import TauPostgres
import TauSystem
import TauTestKit
import Testing

/// One connection, against a real server.
@Suite(.ownThreads, .timeLimit(.minutes(2))) struct ConnectionTests {
    private static let server = Result { try PostgresServer() }

    private func connect(
        _ change: (inout PostgresConfiguration) -> Void = { _ in }
    ) async throws -> PostgresConnection {
        var configuration = PostgresConfiguration(url: try Self.server.get().url())
        configuration.connectTimeoutMilliseconds = 10_000
        change(&configuration)
        return try await PostgresConnection.connect(configuration)
    }

    @Test func `values come back as they went`() async throws {
        let connection = try await connect()
        let id = (0..<16).map { UInt8($0 * 17) }
        let result = try await connection.query(
            "SELECT $1::bool, $2::int8, $3::float8, $4::text, $5::text, $6::bytea, $7::uuid, $8::text, $9::int8[], $10::text[], $11::uuid[]",
            .bool(true), .integer(-5), .double(0.1), .text("Ärger \u{0}".replacing("\0", with: "")), .utf8([0x78]),
            .bytes([0, 255]), .uuid(id), .null, .integers([1, -2]), .texts([[0x61], nil]), .uuids([id]))
        let row = try #require(result.rows.first)
        #expect(try row.bool(0) && row.integer(1) == -5 && row.double(2) == 0.1 && row.text(3) == "Ärger ")
        #expect(try row.bytes(4) == [0x78] && row.bytes(5) == [0, 255] && row.bytes(6) == id && row.isNull(7))
        #expect(throws: PostgresError.self) { try row.integer(7) }
        #expect(throws: PostgresError.self) { try row.integer(3) }
        let arrays = try await connection.query(
            "SELECT array_length($1::int8[], 1), ($2::text[])[2] IS NULL, cardinality($3::int8[]), 7::int2, 8::int4",
            .integers([3, 4]), .texts([[0x61], nil]), .integers([]))
        let second = try #require(arrays.rows.first)
        #expect(try second.integer(0) == 2 && second.bool(1) && second.integer(2) == 0)
        #expect(try second.integer(3) == 7 && second.integer(4) == 8)
        #expect(result.columns.count == 11)
    }

    @Test func `an error has its state, and the connection goes on`() async throws {
        let connection = try await connect()
        let error = await #expect(throws: PostgresError.self) { try await connection.query("SELECT * FROM nowhere") }
        #expect(error?.state == .undefinedTable)
        #expect(connection.isUsable)
        #expect(try await connection.query("SELECT 1::int8").rows.first?.integer(0) == 1)
        // A statement that was not prepared after all is prepared the next time.
        _ = await #expect(throws: PostgresError.self) { try await connection.query("SELECT * FROM later") }
        try await connection.query("CREATE TEMPORARY TABLE later (a int8)")
        #expect(try await connection.query("SELECT * FROM later").rows.isEmpty)
    }

    @Test func `statements of one round trip are one transaction or each its own`() async throws {
        let connection = try await connect()
        try await connection.query("CREATE TEMPORARY TABLE numbers (n int8 PRIMARY KEY)")
        func insert(_ number: Int64) -> PostgresStatement {
            PostgresStatement("INSERT INTO numbers VALUES ($1)", [.integer(number)])
        }
        func count() async throws -> Int64? {
            try await connection.query("SELECT count(*) FROM numbers").rows.first?.integer(0)
        }
        let each = try await connection.run([insert(1), insert(1), insert(2)], isAtomic: false)
        #expect(each.map { (try? $0.get())?.affectedRows } == [1, nil, 1])
        #expect(each[1].failure?.state == .uniqueViolation)
        #expect(try await count() == 2)
        let all = try await connection.run([insert(3), insert(2), insert(4)], isAtomic: true)
        #expect(all[1].failure?.state == .uniqueViolation && all[2].failure?.state == .uniqueViolation)
        #expect(try await count() == 2)
        _ = await #expect(throws: PostgresError.self) {
            try await connection.transaction { connection throws(PostgresError) in
                try await connection.query(insert(5))
                try await connection.query(insert(1))
            }
        }
        #expect(try await count() == 2)
        // Also if nobody says that a statement has failed.
        let silent = await #expect(throws: PostgresError.self) {
            try await connection.transaction { connection throws(PostgresError) in
                _ = try await connection.run([insert(7), insert(1)], isAtomic: true)
            }
        }
        #expect(silent?.state == .failedTransaction)
        #expect(try await count() == 2)
        try await connection.transaction { connection throws(PostgresError) in _ = try await connection.query(insert(6))
        }
        #expect(try await count() == 3)
    }

    @Test func `a large pipeline neither blocks nor loses anything`() async throws {
        let connection = try await connect()
        // More than the sockets' buffers hold in both directions.
        let text = [UInt8](repeating: 0x78, count: 100_000)
        let statements = (0..<200).map { PostgresStatement("SELECT $1::int8, $2::text", [.integer($0), .utf8(text)]) }
        let results = try await connection.run(statements, isAtomic: false)
        for (number, result) in results.enumerated() {
            let row = try #require(try result.get().rows.first)
            #expect(try row.integer(0) == number && row.bytes(1).count == 100_000)
        }
    }

    @Test func `cancelling a task cancels its query`() async throws {
        let connection = try await connect()
        let pid = try #require(try await connection.query("SELECT pg_backend_pid()").rows.first?.integer(0))
        let other = try await connect()
        let task = Task { try await connection.query("SELECT pg_sleep(1000)") }
        let state: PostgresStatement = .init(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'", [.integer(pid)])
        while try await other.query(state).rows.first?.integer(0) == 0 {}
        task.cancel()
        let error = await #expect(throws: PostgresError.self) { try await task.value }
        #expect(error?.code == .cancelled)
        while try await other.query(state).rows.first?.integer(0) == 1 {}
        #expect(try await connection.query("SELECT 1::int8").rows.first?.integer(0) == 1)
    }

    @Test func `a query has a time limit`() async throws {
        let connection = try await connect { $0.queryTimeoutMilliseconds = 200 }
        let error = await #expect(throws: PostgresError.self) { try await connection.query("SELECT pg_sleep(1000)") }
        #expect(error?.code == .timedOut)
        // The server has ended the query, so the connection goes on.
        #expect(try await connection.query("SELECT 1::int8").rows.first?.integer(0) == 1)
    }

    @Test func `a connection that the server ends is lost, and says whether the query was sent`() async throws {
        let connection = try await connect()
        let pid = try #require(try await connection.query("SELECT pg_backend_pid()").rows.first?.integer(0))
        let other = try await connect()
        try await other.query("SELECT pg_terminate_backend($1::int4, 5000)", .integer(pid))
        let error = await #expect(throws: PostgresError.self) { try await connection.query("SELECT 1") }
        #expect(error?.endsConnection == true && !connection.isUsable)
        let closed = await #expect(throws: PostgresError.self) { try await connection.query("SELECT 1") }
        #expect(closed?.code == .connectionLost(wasSent: false))
    }

    @Test func `statements are prepared once, and those unused longest are given up`() async throws {
        let connection = try await connect { $0.maxPreparedStatements = 3 }
        for round in 0..<3 {
            for number in 0..<5 { try await connection.query("SELECT \(number) + $1::int8", .integer(Int64(round))) }
        }
        let count = "SELECT count(*) FROM pg_prepared_statements"
        #expect(try await connection.query(PostgresStatement(count)).rows.first?.integer(0) == 3)
        let unprepared = try await connect { $0.preparesStatements = false }
        #expect(try await unprepared.query(PostgresStatement(count)).rows.first?.integer(0) == 0)
    }

    @Test func `a server process that forgot the statements is noticed`() async throws {
        let connection = try await connect()
        try await connection.query("CREATE TEMPORARY TABLE seen (n int8)")
        let insert = PostgresStatement("INSERT INTO seen VALUES ($1)", [.integer(1)])
        try await connection.query(insert)
        // As a proxy does that hands connections around.
        try await connection.query("DEALLOCATE ALL")
        try await connection.query(insert)
        #expect(try await connection.query("SELECT count(*) FROM seen").rows.first?.integer(0) == 2)
    }

    @Test func `who cannot be reached is told without the password`() async throws {
        let url = try Self.server.get().url(port: 1)
        for url in [
            url, "postgres://tau:\(PostgresServer.password)@127.0.0.1:port/x", url.replacing("@127", with: "@[127"),
        ] {
            let error = await #expect(throws: PostgresError.self) {
                _ = try await PostgresConnection.connect(PostgresConfiguration(url: url))
            }
            #expect(error?.code == .unavailable)
            #expect(error?.message.contains(PostgresServer.password) == false)
        }
        let wrong = try Self.server.get().url().replacing(PostgresServer.password, with: "wrong")
        let error = await #expect(throws: PostgresError.self) {
            _ = try await PostgresConnection.connect(PostgresConfiguration(url: wrong))
        }
        #expect(error?.message.contains("password authentication failed") == true)
    }
}

extension Result {
    var failure: Failure? {
        if case .failure(let error) = self { return error }
        return nil
    }
}
