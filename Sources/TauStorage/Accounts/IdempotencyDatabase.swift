internal import GRDB
internal import Synchronization
package import TauCore
internal import TauSystem

/// Which requests were carried out, on one machine: rows beside the accounts. All of them are this server's, or a dead one's before it.
package final class IdempotencyDatabase: IdempotencyStore {
    private let file: DatabaseFile
    private let writes: SharedTransactions
    /// Keys that are remembered (`http.idempotencyKeys`).
    private let maxKeys: Int
    private let claimsSinceCleaning = Mutex(0)

    private static let claimsBetweenCleanings = 500

    init(file: DatabaseFile, maxKeys: Int) {
        self.file = file
        self.maxKeys = maxKeys
        writes = SharedTransactions(file: file)
    }

    static let layout = """
        CREATE TABLE idempotency_keys (
            tenant TEXT NOT NULL,
            user_id TEXT NOT NULL,
            key TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            attempt TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            answer TEXT,
            PRIMARY KEY (tenant, user_id, key)
        ) WITHOUT ROWID;
        CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
        """

    package func claim(
        _ key: IdempotencyKey, fingerprint: [UInt8], attempt: RequestAttempt
    ) async throws(StoreError) -> IdempotencyClaim {
        let oldest = attempt.time.milliseconds - IdempotencyKey.lifetime
        let names = Self.names(key)
        let digits = fingerprint.hexadecimalDigits
        let cleans = isCleaningDue()
        return try await writes.write { [maxKeys] db in
            if cleans { try Self.clean(db, before: oldest, keeping: maxKeys) }
            let row = try Row.fetchOne(
                db.cachedStatement(
                    sql: """
                        SELECT fingerprint, attempt, created_at, answer FROM idempotency_keys
                        WHERE tenant = ? AND user_id = ? AND key = ? AND created_at >= ?
                        """), arguments: names + [oldest])
            guard let row else {
                try db.cachedStatement(
                    sql: """
                        INSERT OR REPLACE INTO idempotency_keys (tenant, user_id, key, fingerprint, attempt, created_at)
                        VALUES (?, ?, ?, ?, ?, ?)
                        """
                ).execute(arguments: names + [digits, attempt.id, attempt.time.milliseconds])
                return .granted(attempt)
            }
            guard row[0] == digits else { return .otherRequest }
            if let answer = row[3] as String? { return .answered(Array(answer.utf8)) }
            return .granted(RequestAttempt(id: row[1], time: Timestamp(milliseconds: row[2]), isRepeat: true))
        }
    }

    package func settle(_ key: IdempotencyKey, answer: [UInt8]) async throws(StoreError) {
        let text = String(decoding: answer, as: UTF8.self)
        try await writes.write { db in
            try db.cachedStatement(
                sql: "UPDATE idempotency_keys SET answer = ? WHERE tenant = ? AND user_id = ? AND key = ?"
            ).execute(arguments: [text] + Self.names(key))
        }
    }

    package func release(_ key: IdempotencyKey, forgotten: Bool) async throws(StoreError) {
        // What is not settled is given again in any case.
        guard forgotten else { return }
        try await writes.write { db in
            try db.execute(
                sql: "DELETE FROM idempotency_keys WHERE tenant = ? AND user_id = ? AND key = ?",
                arguments: Self.names(key))
        }
    }

    private static func names(_ key: IdempotencyKey) -> StatementArguments {
        [key.owner.tenantID, key.owner.userID, key.text]
    }

    private func isCleaningDue() -> Bool {
        claimsSinceCleaning.withLock { count in
            count = (count + 1) % Self.claimsBetweenCleanings
            return count == 0
        }
    }

    private static func clean(_ db: Database, before oldest: Int64, keeping maxKeys: Int) throws {
        try db.execute(
            sql: """
                DELETE FROM idempotency_keys WHERE created_at < max(:oldest, coalesce((
                    SELECT created_at FROM idempotency_keys ORDER BY created_at DESC LIMIT 1 OFFSET :kept), 0))
                """, arguments: ["oldest": oldest, "kept": maxKeys])
    }
}
