import TauPostgres
import TauTestKit
import Testing

/// Transactions whose statements all succeed and whose commit does not.
@Suite(.ownThreads, .timeLimit(.minutes(2))) struct CommitFailureTests {
    private static let server = Result { try PostgresServer() }

    /// Connects, and makes a table `checked` of numbers; at the commit `action` happens with each new row.
    private func connect(checking action: String) async throws -> PostgresConnection {
        let connection = try await PostgresConnection.connect(
            PostgresConfiguration(url: try Self.server.get().url()))
        for text in [
            "CREATE TEMPORARY TABLE checked (n int8)",
            """
            CREATE FUNCTION pg_temp.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN \(action); RETURN NULL; END $$
            """,
            """
            CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON checked DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION pg_temp.at_commit()
            """,
        ] { try await connection.query(text) }
        return connection
    }

    private func insert(_ number: Int64) -> PostgresStatement {
        PostgresStatement("INSERT INTO checked VALUES ($1)", [.integer(number)])
    }

    @Test(arguments: [false, true]) func `no statement of a refused commit has succeeded`(isAtomic: Bool) async throws {
        let connection = try await connect(
            checking: "IF NEW.n < 0 THEN RAISE EXCEPTION 'negative' USING ERRCODE = '23514'; END IF")
        let results = try await connection.run([insert(1), insert(-1), insert(2)], isAtomic: isAtomic)
        #expect(
            results.map { $0.failure?.state == SQLState("23514") }
                == (isAtomic ? [true, true, true] : [false, true, false]))
        // The connection goes on, answer by answer.
        let count = try await connection.query("SELECT count(*) FROM checked")
        #expect(try count.rows.first?.integer(0) == (isAtomic ? 0 : 2))
        #expect(try await connection.query(insert(3)).affectedRows == 1)
    }

    @Test func `statements before one that fails have not succeeded`() async throws {
        let connection = try await connect(checking: "NULL")
        let failing = PostgresStatement("SELECT 1 / $1", [.integer(0)])
        let results = try await connection.run([insert(1), failing, insert(2)], isAtomic: true)
        #expect(results.map { $0.failure?.state } == Array(repeating: SQLState("22012"), count: 3))
    }

    @Test func `a connection that ends at the commit leaves nothing that succeeded`() async throws {
        // The end may be read together with its reason or after it.
        for _ in 0..<50 {
            let connection = try await connect(checking: "PERFORM pg_terminate_backend(pg_backend_pid())")
            let results = try? await connection.run([insert(1), insert(2)], isAtomic: true)
            #expect((results ?? []).allSatisfy { $0.failure != nil })
            #expect(!connection.isUsable)
        }
    }
}
