internal import GRDB
internal import Logging
internal import Synchronization
internal import TauCore
internal import TauSystem

/// The list of sessions and what a search looks through, kept in SQLite.
///
/// It is a function of the session files, and of whose they are, and of nothing else: what was appended since is read off the file's new lines
/// before the next question is answered, and what was changed behind its back (by another program, or before a crash) is
/// found by size and time of the file. A file that has grown is read from where it ended; any other change, wholly.
final class SessionCatalog: Sendable {
    private struct State {
        /// Sessions that this process has written since they were read.
        var changed: Set<SessionID> = []
        /// The directory's time at the last comparison; nil before the first.
        var compared: Int?
        /// This process itself has made or removed files since then.
        var hasOwnChanges = false
        var lastComparison: ContinuousClock.Instant?
    }

    private let directory: SessionDirectory
    private let accounts: AccountDatabase?
    private let threads: BlockingThreads
    private let database: CatalogDatabase
    private let limits: SessionFile.Limits
    private let logger: Logger
    private let state = Mutex(State())
    private let clock = ContinuousClock()

    /// So often at most all files are compared because of changes that may be our own.
    private static let comparisonInterval = Duration.seconds(2)
    /// Sessions read in one transaction; others can write in between.
    private static let sessionsPerTransaction = 50

    init(
        directory: SessionDirectory, accounts: AccountDatabase?, path: String, limits: SessionFile.Limits,
        threads: BlockingThreads, logger: Logger
    ) {
        self.directory = directory
        self.accounts = accounts
        self.threads = threads
        self.limits = limits
        self.logger = logger
        database = CatalogDatabase(path: path, threads: threads, logger: logger)
    }

    // MARK: Being told

    /// The session has new entries.
    func noteChange(of id: SessionID) { state.withLock { _ = $0.changed.insert(id) } }

    /// The session's file was made or replaced.
    func noteFile(of id: SessionID) {
        state.withLock { state in
            state.changed.insert(id)
            state.hasOwnChanges = true
        }
    }

    func forget(_ id: SessionID) async throws(StoreError) {
        // Read again, it is found to be gone.
        noteFile(of: id)
        try await database.write { db in try CatalogRow.remove(id, db) }
    }

    // MARK: Keeping up

    /// Reads what this process has appended, and compares all files where others may have changed something.
    func bringUpToDate() async throws(StoreError) {
        try await readChanges()
        if needsComparison() { try await compare() }
    }

    private func readChanges() async throws(StoreError) {
        let changed = state.withLock { state in
            defer { state.changed = [] }
            return state.changed
        }
        do throws(StoreError) {
            try await read(Array(changed), again: false) { _ in }
        } catch {
            state.withLock { $0.changed.formUnion(changed) }
            throw error
        }
    }

    /// A process that never asks needs no catalogue, which the next one brings up to date.
    func readChangesIfOpen() async throws(StoreError) {
        if database.isOpen { try await readChanges() }
    }

    func compareIfOpen() async throws(StoreError) {
        if database.isOpen { try await compare() }
    }

    func shutDown() async throws(StoreError) {
        try await readChangesIfOpen()
        try database.close()
    }

    private func needsComparison() -> Bool {
        let modified = directory.modified()
        return state.withLock { state in
            guard let compared = state.compared, let last = state.lastComparison else { return true }
            guard modified != compared else { return false }
            return !state.hasOwnChanges || clock.now - last > Self.comparisonInterval
        }
    }

    /// Looks at every file's size and time, and reads those that have changed.
    func compare() async throws(StoreError) {
        let (modified, found) = try await threads.run { [directory] () throws(StoreError) in
            (directory.modified(), try directory.sessions())
        }
        let known = try await database.read { db in
            let rows = try Row.fetchCursor(db, sql: "SELECT id, inode, size, modified FROM sessions")
            var known: [SessionID: SessionDirectory.Version] = [:]
            while let row = try rows.next() {
                known[SessionID(unchecked: row[0])] = SessionDirectory.Version(
                    inode: UInt(bitPattern: row[1] as Int), size: row[2], modified: row[3])
            }
            return known
        }
        let changed = found.filter { known[$0.id] != $0.version }.map(\.id)
        try await read(changed, again: false) { _ in }
        let present = Set(found.map(\.id))
        let gone = known.keys.filter { !present.contains($0) }
        if !gone.isEmpty { try await database.write { db in for id in gone { try CatalogRow.remove(id, db) } } }
        state.withLock { state in
            state.compared = modified
            state.hasOwnChanges = false
            state.lastComparison = clock.now
        }
    }

    /// Reads every file from its beginning; `progress` hears how many of how many are done.
    func rebuild(progress: @Sendable (_ done: Int, _ count: Int) -> Void) async throws(StoreError) -> Int {
        let all = try await threads.run { [directory] () throws(StoreError) in try directory.sessions().map(\.id) }
        try await read(all, again: true) { progress($0, all.count) }
        try await compare()
        try await database.write { db in try db.execute(sql: "INSERT INTO texts (texts) VALUES ('optimize')") }
        return all.count
    }

    private func read(
        _ ids: [SessionID], again: Bool, progress: (Int) -> Void
    ) async throws(StoreError) {
        var done = 0
        while done < ids.count {
            let part = Array(ids[done..<min(ids.count, done + Self.sessionsPerTransaction)])
            try await database.write { [directory, accounts, limits, logger] db in
                let reading = SessionReading(
                    directory: directory, accounts: accounts, limits: limits, logger: logger)
                for id in part { try reading.read(id, again: again, db) }
            }
            done += part.count
            progress(done)
        }
    }

    // MARK: Asking

    /// One page of what the catalogue has.
    func page(_ query: SessionQuery) async throws(StoreError) -> SessionPage {
        let column = query.order == .updatedAt ? "updated_at" : "created_at"
        var conditions = ["problem IS NULL"]
        var arguments: [any DatabaseValueConvertible] = []
        if let owner = query.owner {
            conditions.append("tenant = ? AND user_id = ?")
            arguments += [owner.tenantID, owner.userID]
        }
        if let cursor = query.cursor {
            guard let position = ListPosition(cursor) else {
                throw StoreError(.badCursor, "the cursor is not one of this list")
            }
            conditions.append("(\(column), id) < (?, ?)")
            arguments += [position.time, position.id]
        }
        for pattern in CatalogTexts.patterns(query.search ?? "") {
            conditions.append(CatalogTexts.matching)
            arguments.append(pattern)
        }
        let sql = """
            SELECT * FROM sessions WHERE \(conditions.joined(separator: " AND "))
            ORDER BY \(column) DESC, id DESC LIMIT \(query.limit + 1)
            """
        let rows = try await database.read { [arguments = StatementArguments(arguments)] db in
            try CatalogRow.fetchAll(db, sql: sql, arguments: arguments).map(\.summary)
        }
        // One more than asked for tells whether there is a next page.
        let page = Array(rows.prefix(query.limit))
        let next = rows.count > page.count ? page.last.map { ListPosition($0, query.order).text } : nil
        return SessionPage(sessions: page, nextCursor: next)
    }
}
