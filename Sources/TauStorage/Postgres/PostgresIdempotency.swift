package import TauCore
internal import TauPostgres

/// Which requests the servers on one database have carried out.
package struct PostgresIdempotency: IdempotencyStore {
    private let pool: PostgresPool
    private let servers: ServerRegistry

    init(pool: PostgresPool, servers: ServerRegistry) {
        self.pool = pool
        self.servers = servers
    }

    package func claim(
        _ key: IdempotencyKey, fingerprint: [UInt8], attempt: RequestAttempt
    ) async throws(StoreError) -> IdempotencyClaim {
        // What others can see this server's claims by.
        try await servers.register()
        let oldest = attempt.time.milliseconds - IdempotencyKey.lifetime
        while true {
            if let granted = try await take(key, fingerprint, attempt, oldest) { return granted }
            if let claim = try await look(at: key, fingerprint) { return claim }
            // It was released in between.
        }
    }

    /// Takes a key that is new, too old, or left by a server that does not work on it.
    private func take(
        _ key: IdempotencyKey, _ fingerprint: [UInt8], _ attempt: RequestAttempt, _ oldest: Int64
    ) async throws(StoreError) -> IdempotencyClaim? {
        let result = try await query(
            """
            INSERT INTO idempotency_keys AS known (tenant, user_id, key, fingerprint, attempt, created_at, server_id)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (tenant, user_id, key) DO UPDATE SET
                server_id = excluded.server_id, fingerprint = excluded.fingerprint,
                attempt = CASE WHEN known.created_at < $8 THEN excluded.attempt ELSE known.attempt END,
                created_at = CASE WHEN known.created_at < $8 THEN excluded.created_at ELSE known.created_at END,
                answer = NULL
            WHERE known.created_at < $8 OR (known.answer IS NULL AND known.fingerprint = excluded.fingerprint
                AND (known.server_id IS NULL OR known.server_id = excluded.server_id OR NOT EXISTS (
                    SELECT FROM servers WHERE servers.id = known.server_id AND servers.expires_at > now())))
            RETURNING attempt, created_at
            """,
            Self.names(key) + [
                .bytes(fingerprint), Self.text(attempt.id), .integer(attempt.time.milliseconds), .uuid(servers.id),
                .integer(oldest),
            ])
        return try await storing { () throws(PostgresError) in
            guard let row = result.rows.first else { return nil }
            let id = try row.text(0)
            return .granted(
                RequestAttempt(
                    id: id, time: Timestamp(milliseconds: try row.integer(1)), isRepeat: id != attempt.id))
        }
    }

    private func look(at key: IdempotencyKey, _ fingerprint: [UInt8]) async throws(StoreError) -> IdempotencyClaim? {
        let result = try await query(
            """
            SELECT fingerprint, answer FROM idempotency_keys WHERE tenant = $1 AND user_id = $2 AND key = $3
            """, Self.names(key))
        return try await storing { () throws(PostgresError) in
            guard let row = result.rows.first else { return nil }
            guard try row.bytes(0) == fingerprint else { return .otherRequest }
            return row.isNull(1) ? .inProgress : .answered(try row.bytes(1))
        }
    }

    package func settle(_ key: IdempotencyKey, answer: [UInt8]) async throws(StoreError) {
        _ = try await query(
            "UPDATE idempotency_keys SET answer = $5 \(Self.own)",
            Self.names(key) + [.uuid(servers.id), .bytes(answer)])
    }

    package func release(_ key: IdempotencyKey, forgotten: Bool) async throws(StoreError) {
        _ = try await query(
            forgotten
                ? "DELETE FROM idempotency_keys \(Self.own) AND answer IS NULL"
                : "UPDATE idempotency_keys SET server_id = NULL \(Self.own) AND answer IS NULL",
            Self.names(key) + [.uuid(servers.id)])
    }

    /// Forgets what is older than a day, and the oldest keys beyond so many.
    func clean(keeping count: Int, at time: Timestamp) async throws(StoreError) {
        _ = try await query(
            """
            DELETE FROM idempotency_keys WHERE created_at < greatest($1, (
                SELECT created_at FROM idempotency_keys ORDER BY created_at DESC LIMIT 1 OFFSET $2))
            """, [.integer(time.milliseconds - IdempotencyKey.lifetime), .integer(Int64(count))])
    }

    private static let own = "WHERE tenant = $1 AND user_id = $2 AND key = $3 AND server_id = $4"

    private static func text(_ text: String) -> PostgresValue { .utf8(EntryRows.text(text)) }

    private static func names(_ key: IdempotencyKey) -> [PostgresValue] {
        [text(key.owner.tenantID), text(key.owner.userID), text(key.text)]
    }

    /// Each of the statements can be said twice.
    private func query(_ text: String, _ parameters: [PostgresValue]) async throws(StoreError) -> PostgresResult {
        try await storing { () throws(PostgresError) in
            try await pool.query(PostgresStatement(text, parameters), isRepeatable: true)
        }
    }
}
