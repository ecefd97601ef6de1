internal import Logging
internal import Synchronization
internal import TauCore
internal import TauPostgres
internal import TauSystem

/// This server among those that share the database: it is at work for as long as its row says so, on the database's clock. With the
/// row's time its leases and runs end.
final class ServerRegistry: Sendable {
    let id: [UInt8]
    /// Whether a process before this one may have left runs under the same id.
    var hasPredecessor: Bool { identity != nil }
    private let identity: ProcessIdentity?
    private let name: String
    private let pool: PostgresPool
    private let leaseSeconds: Int
    private let isRegistered = Mutex(false)

    init(pool: PostgresPool, settings: PostgresSettings) {
        identity = settings.identity
        id = identity?.bytes ?? (0..<16).map { _ in UInt8.random(in: .min ... .max) }
        name = settings.node
        leaseSeconds = settings.leaseSeconds
        self.pool = pool
    }

    /// Writes this server down, if that has not been done; before it takes its first lease.
    func register() async throws(StoreError) {
        guard !isRegistered.withLock({ $0 }) else { return }
        try await renew()
        isRegistered.withLock { $0 = true }
    }

    /// Prolongs this server's time; false where it had run out, so that others may have taken over what it had.
    @discardableResult
    func renew() async throws(StoreError) -> Bool {
        let statement = PostgresStatement(
            """
            WITH before AS (SELECT expires_at > now() AS was_alive FROM servers WHERE id = $1)
            INSERT INTO servers (id, name, expires_at) VALUES ($1, $2, now() + make_interval(secs => $3))
            ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at
            RETURNING coalesce((SELECT was_alive FROM before), false)
            """, [.uuid(id), .utf8(EntryRows.text(name)), .double(Double(leaseSeconds))])
        return try await storing { () throws(PostgresError) in
            try await pool.query(statement, isRepeatable: true).rows[0].bool(0)
        }
    }

    /// How often the time is prolonged: three tries before it runs out.
    var renewalSeconds: Int { max(1, leaseSeconds / 3) }

    /// Takes this server out; its leases are free at once. Long-dead servers go, too.
    func leave() async throws(StoreError) {
        guard isRegistered.withLock({ $0 }) else { return }
        let statement = PostgresStatement(
            "DELETE FROM servers WHERE id = $1 OR expires_at < now() - interval '1 day'", [.uuid(id)])
        try await storing { () throws(PostgresError) in _ = try await pool.query(statement) }
    }
}
