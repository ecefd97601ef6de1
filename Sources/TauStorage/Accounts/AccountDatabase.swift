internal import GRDB
package import Logging
package import TauCore
package import TauSystem

/// The users of one machine, their keys, and whose sessions are whose, in a SQLite file.
///
/// Unlike the catalogue it cannot be made anew from the session files. The one who runs the process needs none: sessions that are
/// named for nobody are theirs.
package final class AccountDatabase: AccountStore {
    let file: DatabaseFile
    /// What was used and what is set aside.
    package let ledger: BatchedLedger
    /// Which requests were carried out.
    package let idempotency: IdempotencyDatabase

    package init(
        path: String, maxIdempotencyKeys: Int = IdempotencyKey.defaultMaxCount, threads: BlockingThreads,
        logger: Logger = Logger(label: "tau.ledger") { _ in SwiftLogNoOpLogHandler() }
    ) {
        file = DatabaseFile(
            path: path, name: "accounts.sqlite, the file of users and keys,",
            layouts: [Self.users, DatabaseLedger.layout, IdempotencyDatabase.layout], threads: threads)
        ledger = BatchedLedger(DatabaseLedger(file: file), logger: logger)
        idempotency = IdempotencyDatabase(file: file, maxKeys: maxIdempotencyKeys)
    }

    private static let users = """
        CREATE TABLE users (
            tenant TEXT NOT NULL,
            id TEXT NOT NULL,
            role TEXT NOT NULL,
            is_disabled INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            PRIMARY KEY (tenant, id)
        ) WITHOUT ROWID;
        CREATE TABLE api_keys (
            id TEXT PRIMARY KEY,
            tenant TEXT NOT NULL,
            user_id TEXT NOT NULL,
            name TEXT,
            scopes TEXT NOT NULL,
            digest TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            last_used_at INTEGER,
            expires_at INTEGER,
            revoked_at INTEGER
        ) WITHOUT ROWID;
        CREATE INDEX api_keys_by_user ON api_keys (tenant, user_id);
        CREATE TABLE session_owners (
            session TEXT PRIMARY KEY,
            tenant TEXT NOT NULL,
            user_id TEXT NOT NULL
        ) WITHOUT ROWID;
        """

    /// Writes what is left.
    package func close() async throws(StoreError) {
        try await ledger.flush()
        try file.close()
    }

    // MARK: Sessions

    /// No file, no other owners: one user alone needs none.
    var hasOwners: Bool { file.exists }

    /// The session's owner. The call blocks.
    func owner(of session: SessionID) throws(StoreError) -> Owner {
        guard hasOwners else { return .local }
        return try file.use { queue in
            try queue.read { db in
                let row = try Row.fetchOne(
                    db, sql: "SELECT tenant, user_id FROM session_owners WHERE session = ?",
                    arguments: [session.rawValue])
                return row.map { Owner(tenantID: $0[0], userID: $0[1]) } ?? .local
            }
        }
    }

    /// Names the owner of a session that is about to be. The call blocks.
    func setOwner(_ owner: Owner, of session: SessionID) throws(StoreError) {
        guard owner != .local else { return try forgetOwner(of: session) }
        try file.use { queue in
            try queue.write { db in
                try db.execute(
                    sql: "INSERT OR REPLACE INTO session_owners (session, tenant, user_id) VALUES (?, ?, ?)",
                    arguments: [session.rawValue, owner.tenantID, owner.userID])
            }
        }
    }

    /// For a session that is gone. The call blocks.
    func forgetOwner(of session: SessionID) throws(StoreError) {
        guard try owner(of: session) != .local else { return }
        try file.use { queue in
            try queue.write { db in
                try db.execute(sql: "DELETE FROM session_owners WHERE session = ?", arguments: [session.rawValue])
            }
        }
    }

    // MARK: Users

    package func add(_ user: User) async throws(StoreError) {
        try await file.write { db in
            try db.execute(
                sql: """
                    INSERT OR IGNORE INTO users (tenant, id, role, is_disabled, created_at) VALUES (?, ?, ?, ?, ?)
                    """,
                arguments: [
                    user.owner.tenantID, user.owner.userID, user.role.rawValue, user.isDisabled,
                    user.createdAt.milliseconds,
                ])
            guard db.changesCount == 1 else { throw StoreError(.exists, "there is such a user already") }
        }
    }

    package func user(_ owner: Owner) async throws(StoreError) -> User? {
        try await file.read { db in try Self.user(owner, db) }
    }

    private static func user(_ owner: Owner, _ db: Database) throws -> User? {
        try Row.fetchOne(
            db, sql: "SELECT * FROM users WHERE tenant = ? AND id = ?", arguments: [owner.tenantID, owner.userID]
        ).map(user)
    }

    private static func user(_ row: Row) -> User {
        User(
            owner: Owner(tenantID: row["tenant"], userID: row["id"]),
            // A role of a later version may do the least.
            role: Role(rawValue: row["role"]) ?? .viewer, isDisabled: row["is_disabled"],
            createdAt: Timestamp(milliseconds: row["created_at"]))
    }

    package func users(of tenantID: String?, after position: Owner?, limit: Int) async throws(StoreError) -> [User] {
        try await file.read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT * FROM users WHERE (:tenant IS NULL OR tenant = :tenant)
                        AND (:after IS NULL OR (tenant, id) > (:after, :user)) ORDER BY tenant, id LIMIT :limit
                    """,
                arguments: [
                    "tenant": tenantID, "after": position?.tenantID, "user": position?.userID, "limit": limit,
                ]
            ).map(Self.user)
        }
    }

    package func update(_ user: User) async throws(StoreError) {
        try await file.write { db in
            try db.execute(
                sql: "UPDATE users SET role = ?, is_disabled = ? WHERE tenant = ? AND id = ?",
                arguments: [user.role.rawValue, user.isDisabled, user.owner.tenantID, user.owner.userID])
            guard db.changesCount == 1 else { throw StoreError(.notFound, "there is no such user") }
        }
    }

    package func removeUser(_ owner: Owner) async throws(StoreError) {
        try await file.write { db in
            let arguments: StatementArguments = [owner.tenantID, owner.userID]
            for table in ["api_keys", "idempotency_keys"] {
                try db.execute(sql: "DELETE FROM \(table) WHERE tenant = ? AND user_id = ?", arguments: arguments)
            }
            try db.execute(sql: "DELETE FROM users WHERE tenant = ? AND id = ?", arguments: arguments)
        }
    }

    // MARK: Keys

    package func add(_ key: APIKey) async throws(StoreError) {
        try await file.write { db in
            try db.execute(
                sql: """
                    INSERT OR IGNORE INTO api_keys
                        (id, tenant, user_id, name, scopes, digest, created_at, expires_at)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    key.id, key.owner.tenantID, key.owner.userID, key.name, key.scopes.names.joined(separator: " "),
                    key.digest, key.createdAt.milliseconds, key.expiresAt?.milliseconds,
                ])
            guard db.changesCount == 1 else { throw StoreError(.exists, "there is such a key already") }
        }
    }

    package func key(_ id: String) async throws(StoreError) -> (key: APIKey, user: User?)? {
        // Asked for with every unknown key: no file, no keys.
        guard file.exists else { return nil }
        return try await file.read { db -> (key: APIKey, user: User?)? in
            guard let row = try Row.fetchOne(db, sql: "SELECT * FROM api_keys WHERE id = ?", arguments: [id]) else {
                return nil
            }
            let key = Self.key(row)
            return (key, try Self.user(key.owner, db))
        }
    }

    private static func key(_ row: Row) -> APIKey {
        func time(_ column: String) -> Timestamp? {
            (row[column] as Int64?).map { Timestamp(milliseconds: $0) }
        }
        return APIKey(
            id: row["id"], owner: Owner(tenantID: row["tenant"], userID: row["user_id"]), name: row["name"],
            scopes: Scopes(names: (row["scopes"] as String).split(separator: " ")), digest: row["digest"],
            createdAt: Timestamp(milliseconds: row["created_at"]), lastUsedAt: time("last_used_at"),
            expiresAt: time("expires_at"), revokedAt: time("revoked_at"))
    }

    package func keys(of tenantID: String?, after position: String?, limit: Int) async throws(StoreError) -> [APIKey] {
        try await file.read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT * FROM api_keys WHERE (:tenant IS NULL OR tenant = :tenant)
                        AND (:after IS NULL OR id > :after) ORDER BY id LIMIT :limit
                    """, arguments: ["tenant": tenantID, "after": position, "limit": limit]
            ).map(Self.key)
        }
    }

    package func revokeKey(_ id: String, at time: Timestamp) async throws(StoreError) {
        try await file.write { db in
            try db.execute(
                sql: "UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?",
                arguments: [time.milliseconds, id])
            guard db.changesCount == 1 else { throw StoreError(.notFound, "there is no such key") }
        }
    }

    package func noteUse(of keys: [String: Timestamp]) async throws(StoreError) {
        try await file.write { db in
            let statement = try db.cachedStatement(
                sql: "UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, 0), ?) WHERE id = ?")
            for (id, time) in keys { try statement.execute(arguments: [time.milliseconds, id]) }
        }
    }
}
