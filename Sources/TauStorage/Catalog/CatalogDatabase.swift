internal import GRDB
internal import Glibc
internal import Logging
internal import Synchronization
internal import TauCore
internal import TauSystem

/// The catalogue's SQLite file. It is opened when it is first needed; everything in it can be had again from the session files.
final class CatalogDatabase: Sendable {
    private let path: String
    private let threads: BlockingThreads
    private let logger: Logger
    private let opened = Mutex<DatabasePool?>(nil)
    /// Held while the file is being opened, which may take long; only on threads that may wait.
    private let opening = Mutex(())

    /// The layout below. A file of another layout is replaced.
    private static let version = 2

    init(path: String, threads: BlockingThreads, logger: Logger) {
        self.path = path
        self.threads = threads
        self.logger = logger
    }

    func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws(StoreError) -> Value
    {
        do {
            return try await pool().read(body)
        } catch {
            throw Self.storeError(error)
        }
    }

    /// Runs `body` in a transaction; one at a time.
    func write<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(StoreError) -> Value {
        do {
            return try await pool().write(body)
        } catch {
            throw Self.storeError(error)
        }
    }

    private static func storeError(_ error: any Error) -> StoreError {
        (error as? StoreError) ?? StoreError(.unavailable, "the catalogue cannot be used: \(error)")
    }

    var isOpen: Bool { opened.withLock { $0 != nil } }

    func close() throws(StoreError) {
        let pool = opened.withLock { opened in
            defer { opened = nil }
            return opened
        }
        do {
            try pool?.close()
        } catch {
            throw Self.storeError(error)
        }
    }

    // MARK: Opening

    private func pool() async throws -> DatabasePool {
        if let pool = opened.withLock({ $0 }) { return pool }
        return try await threads.run { [self] in
            try opening.withLock { _ in
                if let pool = opened.withLock({ $0 }) { return pool }
                let pool = try openOrReplace()
                opened.withLock { $0 = pool }
                return pool
            }
        }
    }

    /// `isNew` ends it: a file that was just made and cannot be used is not replaced again.
    private func openOrReplace(isNew: Bool = false) throws -> DatabasePool {
        do {
            let pool = try open()
            let found = try pool.read { db in try Int.fetchOne(db, sql: "PRAGMA user_version") }
            if found == Self.version { return pool }
            guard found != 0 else {
                try pool.write { db in
                    // Two processes may both have found it empty.
                    guard try Int.fetchOne(db, sql: "PRAGMA user_version") == 0 else { return }
                    try db.execute(sql: Self.layout)
                    try db.execute(sql: "PRAGMA user_version = \(Self.version)")
                }
                return pool
            }
            try pool.close()
            throw StoreError(.corrupt, "it has layout \(found ?? -1)")
        } catch  where !isNew && Self.isUnusable(error) {
            logger.warning("the catalogue is made anew", metadata: ["reason": "\(error)"])
            for suffix in ["", "-wal", "-shm"] { unlink(path + suffix) }
            return try openOrReplace(isNew: true)
        }
    }

    /// Whether a new file would be better than this one.
    private static func isUnusable(_ error: any Error) -> Bool {
        if let error = error as? StoreError { return error.code == .corrupt }
        guard let error = error as? DatabaseError else { return false }
        return [.SQLITE_CORRUPT, .SQLITE_NOTADB].contains(error.resultCode)
    }

    private func open() throws -> DatabasePool {
        var configuration = Configuration()
        configuration.maximumReaderCount = 2
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { db in
            // After a power cut the last transactions may be missing, which is noticed; the file stays whole.
            try db.execute(
                sql: "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -1024; PRAGMA journal_size_limit = 16777216")
        }
        // SQLite gives its other files the mode that this one has.
        let file = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0, fchmod(file, 0o600) == 0 else { throw StoreError.system("open of the catalogue") }
        Glibc.close(file)
        return try DatabasePool(path: path, configuration: configuration)
    }

    /// `number` is the upper part of the row ids of a session's texts: row 0 is its name, row n its n-th entry.
    private static let layout = """
        CREATE TABLE sessions (
            number INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            inode INTEGER NOT NULL,
            size INTEGER NOT NULL,
            modified INTEGER NOT NULL,
            read_bytes INTEGER NOT NULL,
            problem TEXT,
            tenant TEXT NOT NULL,
            user_id TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            last_message_at INTEGER,
            entry_count INTEGER NOT NULL,
            leaf_id TEXT,
            name TEXT,
            provider TEXT,
            model TEXT,
            thinking_level TEXT NOT NULL,
            usage TEXT NOT NULL,
            metadata TEXT NOT NULL
        );
        CREATE INDEX sessions_by_update ON sessions (updated_at DESC, id DESC) WHERE problem IS NULL;
        CREATE INDEX sessions_of_owner_by_update ON sessions (tenant, user_id, updated_at DESC, id DESC)
            WHERE problem IS NULL;
        CREATE INDEX sessions_of_owner_by_creation ON sessions (tenant, user_id, created_at DESC, id DESC)
            WHERE problem IS NULL;
        CREATE INDEX sessions_by_creation ON sessions (created_at DESC, id DESC) WHERE problem IS NULL;
        CREATE VIRTUAL TABLE texts USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2');
        """
}
