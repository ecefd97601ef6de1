internal import GRDB
package import Logging
internal import Synchronization
package import TauCore
package import TauSystem

/// The runs of one machine, in a SQLite file. Unlike the catalogue it cannot be made anew from the session files.
///
/// What comes while one transaction is on its way is the next one. A transaction that somebody waits for goes through `fsync`.
package final class RunDatabase: RunStore {
    private struct State {
        /// The latest state of each run that is not written yet.
        var pending: [RunID: RunRecord] = [:]
        var waiters: [CheckedContinuation<Result<Void, StoreError>, Never>] = []
        var isWriting = false
    }

    /// Records of ended runs that are kept (`runs.recorded`).
    private let maxRecords: Int
    private let threads: BlockingThreads
    private let logger: Logger
    private let state = Mutex(State())
    private let file: DatabaseFile
    private let writesSinceCleaning = Mutex(0)

    private static let writesBetweenCleanings = 500

    package init(path: String, maxRecords: Int = 10_000, threads: BlockingThreads, logger: Logger) {
        self.maxRecords = maxRecords
        self.threads = threads
        self.logger = logger
        file = DatabaseFile(
            path: path, name: "runs.sqlite, the record of runs,", layouts: [Self.layout], threads: threads)
    }

    private static let layout = """
        CREATE TABLE runs (id TEXT PRIMARY KEY, session TEXT NOT NULL, is_final INTEGER NOT NULL,
            record TEXT NOT NULL) WITHOUT ROWID;
        CREATE INDEX runs_by_session ON runs (session, id);
        CREATE INDEX runs_unfinished ON runs (id) WHERE NOT is_final;
        """

    // MARK: Writing

    package func note(_ record: RunRecord) {
        enqueue { $0.pending[record.run.id] = record }
    }

    package func save(_ record: RunRecord) async throws(StoreError) {
        try await written { $0.pending[record.run.id] = record }
    }

    package func flush() async throws(StoreError) { try await written { _ in } }

    private func written(_ change: (inout State) -> Void) async throws(StoreError) {
        let result: Result<Void, StoreError> = await withCheckedContinuation { continuation in
            enqueue { state in
                change(&state)
                state.waiters.append(continuation)
            }
        }
        try result.get()
    }

    private func enqueue(_ change: (inout State) -> Void) {
        let begins = state.withLock { state in
            change(&state)
            defer { state.isWriting = true }
            return !state.isWriting
        }
        if begins { threads.submit { self.writePending() } }
    }

    /// On a thread of its own; ends when nothing is left.
    private func writePending() {
        while true {
            let (records, waiters) = state.withLock { state in
                defer {
                    state.pending = [:]
                    state.waiters = []
                }
                if state.pending.isEmpty, state.waiters.isEmpty { state.isWriting = false }
                return (Array(state.pending.values), state.waiters)
            }
            guard !records.isEmpty || !waiters.isEmpty else { return }
            let result = Result { () throws(StoreError) in try write(records, isDurable: !waiters.isEmpty) }
            if case .failure(let error) = result, waiters.isEmpty {
                logger.error("the states of runs were not written", metadata: ["reason": "\(error)"])
            }
            for waiter in waiters { waiter.resume(returning: result) }
        }
    }

    private func write(_ records: [RunRecord], isDurable: Bool) throws(StoreError) {
        guard !records.isEmpty else { return }
        try file.use { queue in
            try queue.writeWithoutTransaction { db in
                // Without it a power cut may take the last transactions; the file stays whole.
                try db.execute(sql: "PRAGMA synchronous = \(isDurable ? "FULL" : "NORMAL")")
                try db.inTransaction {
                    for record in records { try Self.put(record, db) }
                    return .commit
                }
            }
            guard isCleaningDue(after: records.count) else { return }
            try queue.write { [maxRecords] db in
                try db.execute(
                    sql: """
                        DELETE FROM runs WHERE is_final AND id <= (
                            SELECT id FROM runs WHERE is_final ORDER BY id DESC LIMIT 1 OFFSET ?)
                        """, arguments: [maxRecords])
            }
        }
    }

    private func isCleaningDue(after count: Int) -> Bool {
        writesSinceCleaning.withLock { writes in
            writes += count
            guard writes >= Self.writesBetweenCleanings else { return false }
            writes = 0
            return true
        }
    }

    private static func put(_ record: RunRecord, _ db: Database) throws {
        try db.cachedStatement(
            sql: "INSERT OR REPLACE INTO runs (id, session, is_final, record) VALUES (?, ?, ?, ?)"
        ).execute(arguments: [
            record.run.id.rawValue, record.run.sessionID.rawValue, record.run.status.isFinal,
            String(decoding: record.serialized, as: UTF8.self),
        ])
    }

    package func removeRecords(of session: SessionID) async throws(StoreError) {
        try await flush()
        try await file.write { db in
            try db.execute(sql: "DELETE FROM runs WHERE session = ?", arguments: [session.rawValue])
        }
    }

    // MARK: Reading

    package func record(of run: RunID) async throws(StoreError) -> RunRecord? {
        try await records("WHERE id = ?", [run.rawValue]).first
    }

    package func records(of session: SessionID, limit: Int) async throws(StoreError) -> [RunRecord] {
        // Ids begin with the time.
        try await records("WHERE session = ? ORDER BY id DESC LIMIT ?", [session.rawValue, limit])
    }

    package func unfinishedRecords() async throws(StoreError) -> [RunRecord] {
        // No file, no runs: a first start need not make one.
        guard file.exists else { return [] }
        return try await records("WHERE NOT is_final ORDER BY id", [])
    }

    private func records(_ condition: String, _ arguments: StatementArguments) async throws(StoreError) -> [RunRecord] {
        try await flush()
        return try await file.read { db in
            try String.fetchAll(db, sql: "SELECT record FROM runs \(condition)", arguments: arguments)
        }.compactMap { text in RunRecord(json: try? JSONValue(parsing: text.utf8)) }
    }

    // MARK: The file

    /// Writes what is left and closes the file.
    package func close() async throws(StoreError) {
        try await flush()
        try await threads.run { () throws(StoreError) in try self.file.close() }
    }
}
