package import TauCore
internal import TauPostgres

/// The users of all servers on one database, and their keys.
package struct PostgresAccounts: AccountStore {
    private let pool: PostgresPool

    init(pool: PostgresPool) { self.pool = pool }

    private func query(
        _ text: String, _ parameters: [PostgresValue], isRepeatable: Bool = false
    ) async throws(StoreError) -> PostgresResult {
        let statement = PostgresStatement(text, parameters)
        return try await storing { () throws(PostgresError) in
            try await pool.query(statement, isRepeatable: isRepeatable)
        }
    }

    private static func text(_ text: String?) -> PostgresValue {
        text.map { .utf8(EntryRows.text($0)) } ?? .null
    }

    private static func time(_ time: Timestamp?) -> PostgresValue {
        time.map { .integer($0.milliseconds) } ?? .null
    }

    private static func names(_ owner: Owner) -> [PostgresValue] { [text(owner.tenantID), text(owner.userID)] }

    // MARK: Users

    package func add(_ user: User) async throws(StoreError) {
        let added = try await query(
            """
            INSERT INTO users (tenant, id, role, is_disabled, created_at) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT DO NOTHING
            """,
            Self.names(user.owner) + [
                .text(user.role.rawValue), .bool(user.isDisabled), .integer(user.createdAt.milliseconds),
            ])
        guard added.affectedRows == 1 else { throw StoreError(.exists, "there is such a user already") }
    }

    private static let userColumns = "u.tenant, u.id, u.role, u.is_disabled, u.created_at"

    private static func user(_ row: PostgresRow, at column: Int) throws(PostgresError) -> User {
        User(
            owner: Owner(tenantID: try row.text(column), userID: try row.text(column + 1)),
            // A role of a later version may do the least.
            role: Role(rawValue: try row.text(column + 2)) ?? .viewer, isDisabled: try row.bool(column + 3),
            createdAt: Timestamp(milliseconds: try row.integer(column + 4)))
    }

    package func user(_ owner: Owner) async throws(StoreError) -> User? {
        let result = try await query(
            "SELECT \(Self.userColumns) FROM users u WHERE tenant = $1 AND id = $2", Self.names(owner),
            isRepeatable: true)
        return try await storing { () throws(PostgresError) in
            try result.rows.first.map { row throws(PostgresError) in try Self.user(row, at: 0) }
        }
    }

    package func users(of tenantID: String?, after position: Owner?, limit: Int) async throws(StoreError) -> [User] {
        let result = try await query(
            """
            SELECT \(Self.userColumns) FROM users u WHERE ($1::text IS NULL OR tenant = $1)
                AND ($2::text IS NULL OR (tenant, id) > ($2, $3::text)) ORDER BY tenant, id LIMIT $4
            """,
            [
                Self.text(tenantID), Self.text(position?.tenantID), Self.text(position?.userID), .integer(Int64(limit)),
            ], isRepeatable: true)
        return try await storing { () throws(PostgresError) in
            var users: [User] = []
            for row in result.rows { users.append(try Self.user(row, at: 0)) }
            return users
        }
    }

    package func update(_ user: User) async throws(StoreError) {
        let updated = try await query(
            "UPDATE users SET role = $3, is_disabled = $4 WHERE tenant = $1 AND id = $2",
            Self.names(user.owner) + [.text(user.role.rawValue), .bool(user.isDisabled)])
        guard updated.affectedRows == 1 else { throw StoreError(.notFound, "there is no such user") }
    }

    package func removeUser(_ owner: Owner) async throws(StoreError) {
        _ = try await query(
            """
            WITH gone AS (DELETE FROM api_keys WHERE tenant = $1 AND user_id = $2),
                answers AS (DELETE FROM idempotency_keys WHERE tenant = $1 AND user_id = $2)
            DELETE FROM users WHERE tenant = $1 AND id = $2
            """, Self.names(owner))
    }

    // MARK: Keys

    package func add(_ key: APIKey) async throws(StoreError) {
        let added = try await query(
            """
            INSERT INTO api_keys (tenant, user_id, id, name, scopes, digest, created_at, expires_at)
            VALUES ($1, $2, $3, $4::text, $5, $6, $7, $8::bigint) ON CONFLICT DO NOTHING
            """,
            Self.names(key.owner) + [
                Self.text(key.id), Self.text(key.name), .text(key.scopes.names.joined(separator: " ")),
                .text(key.digest), .integer(key.createdAt.milliseconds), Self.time(key.expiresAt),
            ])
        guard added.affectedRows == 1 else { throw StoreError(.exists, "there is such a key already") }
    }

    private static let keyColumns = """
        k.id, k.tenant, k.user_id, k.name, k.scopes, k.digest, k.created_at, k.last_used_at, k.expires_at, k.revoked_at
        """

    private static func key(_ row: PostgresRow) throws(PostgresError) -> APIKey {
        func time(_ column: Int) throws(PostgresError) -> Timestamp? {
            row.isNull(column) ? nil : Timestamp(milliseconds: try row.integer(column))
        }
        return APIKey(
            id: try row.text(0), owner: Owner(tenantID: try row.text(1), userID: try row.text(2)),
            name: row.isNull(3) ? nil : try row.text(3),
            scopes: Scopes(names: try row.text(4).split(separator: " ")), digest: try row.text(5),
            createdAt: Timestamp(milliseconds: try row.integer(6)), lastUsedAt: try time(7), expiresAt: try time(8),
            revokedAt: try time(9))
    }

    package func key(_ id: String) async throws(StoreError) -> (key: APIKey, user: User?)? {
        let result = try await query(
            """
            SELECT \(Self.keyColumns), \(Self.userColumns) FROM api_keys k
            LEFT JOIN users u ON u.tenant = k.tenant AND u.id = k.user_id WHERE k.id = $1
            """, [Self.text(id)], isRepeatable: true)
        return try await storing { () throws(PostgresError) -> (key: APIKey, user: User?)? in
            guard let row = result.rows.first else { return nil }
            return (try Self.key(row), row.isNull(10) ? nil : try Self.user(row, at: 10))
        }
    }

    package func keys(of tenantID: String?, after position: String?, limit: Int) async throws(StoreError) -> [APIKey] {
        let result = try await query(
            """
            SELECT \(Self.keyColumns) FROM api_keys k WHERE ($1::text IS NULL OR tenant = $1)
                AND ($2::text IS NULL OR id > $2) ORDER BY id LIMIT $3
            """, [Self.text(tenantID), Self.text(position), .integer(Int64(limit))], isRepeatable: true)
        return try await storing { () throws(PostgresError) in
            var keys: [APIKey] = []
            for row in result.rows { keys.append(try Self.key(row)) }
            return keys
        }
    }

    package func revokeKey(_ id: String, at time: Timestamp) async throws(StoreError) {
        let revoked = try await query(
            "UPDATE api_keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1",
            [Self.text(id), .integer(time.milliseconds)], isRepeatable: true)
        guard revoked.affectedRows == 1 else { throw StoreError(.notFound, "there is no such key") }
    }

    package func noteUse(of keys: [String: Timestamp]) async throws(StoreError) {
        // In one order, so that servers do not wait for each other in a circle.
        let uses = keys.sorted { $0.key < $1.key }
        _ = try await query(
            """
            UPDATE api_keys SET last_used_at = greatest(last_used_at, used.at)
            FROM (SELECT * FROM unnest($1::text[], $2::int8[]) AS use(id, at) ORDER BY id) AS used
            WHERE api_keys.id = used.id
            """,
            [.texts(uses.map { EntryRows.text($0.key) }), .integers(uses.map(\.value.milliseconds))],
            isRepeatable: true)
    }
}
