internal import Logging
internal import Synchronization
internal import TauCore
internal import TauPostgres
internal import TauSystem

/// Who answers what only reads: a streaming replica where there is one that has everything that was committed before the question, and
/// otherwise the primary.
///
/// Any server's commits count, not only this one's: the primary is asked how far its log is on the disk, which costs it next to
/// nothing, and the replica how far it has replayed.
final class ReadPool: Sendable {
    /// Since the start, for metrics.
    struct Status: Sendable, Hashable {
        var replica = 0
        /// Because the replica was behind, or did not answer.
        var late = 0
        var failed = 0
    }

    let primary: PostgresPool
    let replica: PostgresPool?
    private let waitMilliseconds: Int
    private let logger: Logger
    private let state = Mutex((counts: Status(), pausedUntil: 0))

    /// Milliseconds between two looks at how far the replica is, and for which one that fails is left alone.
    private static let lookMilliseconds = 2
    private static let pauseMilliseconds = 2000

    init(primary: PostgresPool, settings: PostgresSettings, logger: Logger) {
        self.primary = primary
        replica = settings.replica.map { PostgresPool($0, limits: settings.pool) }
        waitMilliseconds = settings.replicaWaitMilliseconds
        self.logger = logger
    }

    var status: Status { state.withLock { $0.counts } }

    /// Reads from the replica, or else from the primary; `body` may be called twice.
    func read<Value: Sendable>(
        _ body: (PostgresPool) async throws(PostgresError) -> Value
    ) async throws(PostgresError) -> Value {
        guard let replica, await hasEverything(replica) else { return try await body(primary) }
        do throws(PostgresError) {
            let value = try await body(replica)
            state.withLock { $0.counts.replica += 1 }
            Measurements.replicaReads.add(1, "answered")
            return value
        } catch {
            guard error.code != .cancelled else { throw error }
            noteFailure(error)
            return try await body(primary)
        }
    }

    private func hasEverything(_ replica: PostgresPool) async -> Bool {
        guard state.withLock({ $0.pausedUntil <= monotonicMilliseconds() }) else { return false }
        do throws(PostgresError) {
            let target = try await place(in: primary, "pg_current_wal_flush_lsn()")
            let deadline = monotonicMilliseconds() + waitMilliseconds
            var reached = try await place(in: replica, "pg_last_wal_replay_lsn()")
            Measurements.replicaLag.set(Int(max(0, target - reached)))
            while reached < target {
                guard monotonicMilliseconds() < deadline, !Task.isCancelled else {
                    state.withLock { $0.counts.late += 1 }
                    Measurements.replicaReads.add(1, "late")
                    return false
                }
                try? await Task.sleep(for: .milliseconds(Self.lookMilliseconds))
                reached = try await place(in: replica, "pg_last_wal_replay_lsn()")
            }
            return true
        } catch {
            noteFailure(error)
            return false
        }
    }

    private func place(in pool: PostgresPool, _ function: String) async throws(PostgresError) -> Int64 {
        let statement = PostgresStatement("SELECT coalesce(pg_wal_lsn_diff(\(function), '0/0')::int8, 0)")
        return try await pool.query(statement, isRepeatable: true).rows[0].integer(0)
    }

    private func noteFailure(_ error: PostgresError) {
        Measurements.replicaReads.add(1, "failed")
        state.withLock { state in
            state.counts.failed += 1
            state.pausedUntil = monotonicMilliseconds() + Self.pauseMilliseconds
        }
        logger.warning("the replica does not answer; the primary does", metadata: ["reason": "\(error)"])
    }

    func maintain() async { await replica?.maintain() }

    func close() async { await replica?.close() }
}
