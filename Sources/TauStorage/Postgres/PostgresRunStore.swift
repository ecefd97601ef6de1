internal import Synchronization
package import TauCore
internal import TauPostgres

/// The runs of all servers on one database. A run belongs to the server that works on it; when that one is not heard of any more, another
/// takes the run over, once.
package final class PostgresRunStore: RunStore {
    private let pool: PostgresPool
    private let writer: BatchWriter
    private let servers: ServerRegistry
    /// Set once the runs that a process before this one has left under the same id are taken up.
    private let hasLooked = Mutex(false)

    init(pool: PostgresPool, writer: BatchWriter, servers: ServerRegistry) {
        self.pool = pool
        self.writer = writer
        self.servers = servers
    }

    package func note(_ record: RunRecord) { writer.note(record) }

    /// It was committed with its entries.
    package func noteCarried(_ record: RunRecord) {}

    package func flush() async throws(StoreError) { try await writer.flushNotes() }

    package func save(_ record: RunRecord) async throws(StoreError) {
        writer.note(record)
        try await writer.flushNotes()
    }

    package func removeRecords(of session: SessionID) async throws(StoreError) {
        try await writer.flushNotes()
        try await query("DELETE FROM runs WHERE session_id = $1", .uuid(session.uuid))
    }

    package func record(of run: RunID) async throws(StoreError) -> RunRecord? {
        try await records("SELECT record FROM runs WHERE id = $1", .utf8(EntryRows.text(run.rawValue))).first
    }

    package func records(of session: SessionID, limit: Int) async throws(StoreError) -> [RunRecord] {
        // Ids begin with the time.
        try await records(
            "SELECT record FROM runs WHERE session_id = $1 ORDER BY id DESC LIMIT $2", .uuid(session.uuid),
            .integer(Int64(limit)))
    }

    package func activeRuns(of sessions: [SessionID]) async throws(StoreError) -> [SessionID: RunID] {
        let ids = Dictionary(sessions.map { ($0.uuid, $0) }) { first, _ in first }
        return try await storing { () throws(PostgresError) in
            let result = try await pool.query(
                "SELECT session_id, id FROM runs WHERE session_id = ANY($1::uuid[]) AND NOT is_final",
                .uuids(Array(ids.keys)))
            var active: [SessionID: RunID] = [:]
            for row in result.rows {
                guard let session = ids[try row.bytes(0)] else { continue }
                active[session] = RunID(unchecked: try row.text(1))
            }
            return active
        }
    }

    /// Takes over the runs of servers that are not at work any more. Each run is given to one server only.
    package func unfinishedRecords() async throws(StoreError) -> [RunRecord] {
        try await servers.register()
        let isFirst = hasLooked.withLock { hasLooked in
            defer { hasLooked = true }
            return !hasLooked
        }
        return try await records(
            """
            WITH orphan AS (
                UPDATE runs SET server_id = $1
                WHERE NOT is_final AND (server_id IS NULL OR (server_id = $1 AND $2)
                    OR NOT EXISTS (SELECT FROM servers WHERE id = server_id AND expires_at > now()))
                RETURNING id, record
            )
            SELECT record FROM orphan ORDER BY id
            """, .uuid(servers.id), .bool(isFirst && servers.hasPredecessor))
    }

    private func records(_ text: String, _ parameters: PostgresValue...) async throws(StoreError) -> [RunRecord] {
        try await writer.flushNotes()
        let statement = PostgresStatement(text, parameters)
        return try await storing { () throws(PostgresError) in
            var records: [RunRecord] = []
            for row in try await pool.query(statement).rows {
                if let record = RunRecord(json: try? JSONValue(parsing: try row.bytes(0))) { records.append(record) }
            }
            return records
        }
    }

    private func query(_ text: String, _ parameters: PostgresValue...) async throws(StoreError) {
        let statement = PostgresStatement(text, parameters)
        try await storing { () throws(PostgresError) in _ = try await pool.query(statement) }
    }

    /// Forgets the oldest ended runs beyond so many.
    func clean(keeping count: Int) async throws(StoreError) {
        try await query(
            """
            DELETE FROM runs WHERE is_final AND id <= (
                SELECT id FROM runs WHERE is_final ORDER BY id DESC LIMIT 1 OFFSET $1)
            """, .integer(Int64(count)))
    }
}
