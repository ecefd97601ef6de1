internal import Crypto
package import TauCore
package import TauPostgres
internal import TauSystem

/// Brings the tables to this version, forward only. Each step is one transaction; servers that start together take turns.
package struct PostgresMigrations: Sendable {
    private let pool: PostgresPool
    private let steps: [PostgresSchema.Step]

    package init(_ pool: PostgresPool, steps: [PostgresSchema.Step] = PostgresSchema.steps) {
        self.pool = pool
        self.steps = steps
    }

    /// Names the program's advisory lock: "tau" and a number.
    private static let lock: Int64 = 0x7461_7500_0000_0001

    /// Takes the steps that are missing; answers their names. Throws where the database has others than this program knows.
    package func run() async throws(StoreError) -> [String] {
        try await storing { () throws(PostgresError) in
            try await pool.withConnection { connection throws(PostgresError) in
                // Looked at without the lock first: most starts find everything done.
                if try await missing(connection, known: known(connection)).isEmpty { return [] }
                return try await connection.transaction { connection throws(PostgresError) in
                    try await connection.query("SELECT pg_advisory_xact_lock($1)", .integer(Self.lock))
                    try await connection.query(
                        """
                        CREATE TABLE IF NOT EXISTS tau_migrations (
                            version bigint PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
                            applied_at timestamptz NOT NULL DEFAULT now())
                        """)
                    let missing = try await missing(connection, known: known(connection))
                    for step in missing { try await take(step, connection) }
                    return missing.map(\.name)
                }
            }
        }
    }

    private func take(_ step: PostgresSchema.Step, _ connection: PostgresConnection) async throws(PostgresError) {
        for statement in step.statements { try await connection.query(PostgresStatement(statement)) }
        try await connection.query(
            "INSERT INTO tau_migrations (version, name, checksum) VALUES ($1, $2, $3)", .integer(Int64(step.version)),
            .text(step.name), .text(Self.checksum(step)))
    }

    /// The checksums of the steps that were taken, by version.
    private func known(_ connection: PostgresConnection) async throws(PostgresError) -> [Int: String] {
        let exists = try await connection.query("SELECT to_regclass('tau_migrations') IS NOT NULL")
        guard try exists.rows[0].bool(0) else { return [:] }
        var known: [Int: String] = [:]
        for row in try await connection.query("SELECT version, checksum FROM tau_migrations").rows {
            known[Int(try row.integer(0))] = try row.text(1)
        }
        return known
    }

    private func missing(
        _ connection: PostgresConnection, known: [Int: String]
    ) throws(PostgresError) -> [PostgresSchema.Step] {
        if let later = known.keys.filter({ version in !steps.contains { $0.version == version } }).max() {
            throw PostgresError(
                .unavailable,
                "the database is of a later version of Tau (step \(later)); use that version, or another database"
            )
        }
        for step in steps {
            guard let checksum = known[step.version], checksum != Self.checksum(step) else { continue }
            throw PostgresError(
                .unavailable, "step \(step.version) (\(step.name)) of the database was made by another program")
        }
        return steps.filter { known[$0.version] == nil }
    }

    static func checksum(_ step: PostgresSchema.Step) -> String {
        var hash = SHA256()
        for statement in step.statements {
            hash.update(data: Array(statement.utf8))
            hash.update(data: [0])
        }
        return hash.finalize().hexadecimalDigits
    }
}

/// Runs queries and gives their failure as a store's.
func storing<Value>(_ body: () async throws(PostgresError) -> Value) async throws(StoreError) -> Value {
    do throws(PostgresError) {
        return try await tracedQuestion(to: "postgresql", body)
    } catch {
        throw StoreError(error)
    }
}

extension StoreError {
    /// A failed query as the caller of a store sees it. The server's words may hold values, so only those of known errors are told.
    init(_ error: PostgresError) {
        switch error.code {
        case .connectionLost:
            self.init(.unavailable, "the connection to the database broke", detail: error.message)
        case .unavailable, .timedOut, .cancelled, .unexpectedValue:
            self.init(
                .unavailable, "the database: \(error.summary ?? error.message)",
                detail: error.summary.map { _ in error.message })
        case .refused(.diskFull): self.init(.unavailable, "the database has no space left")
        case .refused(let state): self.init(.unavailable, "the database refused a query (SQLSTATE \(state.text))")
        }
    }
}
