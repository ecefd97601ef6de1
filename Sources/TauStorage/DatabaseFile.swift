internal import GRDB
internal import Glibc
internal import Synchronization
internal import TauCore
internal import TauSystem

/// A SQLite file with what nothing else holds, opened when it is first needed. Every transaction goes through `fsync`, and all calls
/// block unless they say otherwise.
final class DatabaseFile: Sendable {
    private let path: String
    /// What the file is, for errors.
    private let name: String
    /// The statements that bring layout n to layout n + 1. Released ones never change.
    private let layouts: [String]
    private let threads: BlockingThreads
    private let opened = Mutex<DatabaseQueue?>(nil)

    init(path: String, name: String, layouts: [String], threads: BlockingThreads) {
        self.path = path
        self.name = name
        self.layouts = layouts
        self.threads = threads
    }

    /// Whether anything was ever written.
    var exists: Bool { opened.withLock { $0 != nil } || access(path, F_OK) == 0 }

    /// Runs `body` on a thread that may wait, later.
    func submit(_ body: @escaping @Sendable () -> Void) { threads.submit(body) }

    /// Runs `body` on a thread that may wait.
    func onThread<Value: Sendable>(
        _ body: @escaping @Sendable (DatabaseQueue) throws -> Value
    ) async throws(StoreError) -> Value {
        try await threads.run { () throws(StoreError) in try self.use(body) }
    }

    func read<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(StoreError) -> Value {
        try await onThread { queue in try queue.read(body) }
    }

    /// Runs `body` in a transaction that is durable when this returns.
    func write<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws(StoreError) -> Value {
        try await onThread { queue in try queue.write(body) }
    }

    /// Runs `body` with the file; one at a time.
    func use<Value: Sendable>(_ body: (DatabaseQueue) throws -> Value) throws(StoreError) -> Value {
        let result = opened.withLock { opened in
            Result { () throws -> DatabaseQueue in
                if let opened { return opened }
                let queue = try open()
                opened = queue
                return queue
            }
        }
        do {
            return try body(try result.get())
        } catch {
            throw (error as? StoreError)
                ?? StoreError(.unavailable, "\(name) cannot be used", detail: "\(path): \(error)")
        }
    }

    func close() throws(StoreError) {
        let queue = opened.withLock { opened in
            defer { opened = nil }
            return opened
        }
        do {
            try queue?.close()
        } catch {
            throw StoreError(.unavailable, "\(name) could not be closed", detail: "\(path): \(error)")
        }
    }

    /// Seconds for which another process may use the file.
    private static let patienceSeconds = 10.0
    private static let pauseMicroseconds: UInt32 = 5000

    /// SQLite does not wait for another process that opens a new file in the same moment.
    private func connect(_ configuration: Configuration) throws -> DatabaseQueue {
        let end = monotonicMilliseconds() + Int(Self.patienceSeconds * 1000)
        while true {
            do {
                return try DatabaseQueue(path: path, configuration: configuration)
            } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY && monotonicMilliseconds() < end {
                usleep(Self.pauseMicroseconds)
            }
        }
    }

    private func open() throws -> DatabaseQueue {
        // SQLite gives its other files the mode that this one has.
        let file = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0, fchmod(file, 0o600) == 0 else { throw StoreError.system("open of \(name)") }
        Glibc.close(file)
        var configuration = Configuration()
        configuration.busyMode = .timeout(Self.patienceSeconds)
        configuration.journalMode = .wal
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA cache_size = -256; PRAGMA journal_size_limit = 4194304")
        }
        let queue = try connect(configuration)
        try queue.writeWithoutTransaction { db in try db.execute(sql: "PRAGMA synchronous = FULL") }
        try queue.write { db in
            let found = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
            guard found <= layouts.count else {
                throw StoreError(.unavailable, "\(name) is of a later version of Tau (layout \(found))")
            }
            guard found < layouts.count else { return }
            for layout in layouts[found...] { try db.execute(sql: layout) }
            try db.execute(sql: "PRAGMA user_version = \(layouts.count)")
        }
        return queue
    }
}
