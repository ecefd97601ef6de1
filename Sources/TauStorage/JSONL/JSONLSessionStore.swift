internal import Glibc
package import Logging
internal import Synchronization
package import TauCore
package import TauSystem

/// Sessions as files: one Pi version 3 file each, `<id>.jsonl`, in one directory.
///
/// An append is acknowledged once it is durable, which the journal makes it for all sessions together. The right to write is
/// the file's advisory lock (`flock`), held from `open` until `close`.
package final class JSONLSessionStore: SessionStore {
    let directory: SessionDirectory
    let limits: SessionFile.Limits
    let threads: BlockingThreads
    let logger: Logger
    private let catalog: SessionCatalog
    /// Whose sessions are whose; without it all are the one's who runs the process.
    private let accounts: AccountDatabase?
    private let journal: Journal
    private let replay: JournalReplay
    private let open = Mutex<[SessionID: SessionWriter]>([:])
    /// Sessions that are being made.
    private let creating = Mutex<Set<SessionID>>([])

    /// Opens the directory, which is made (mode 0700) if it does not exist. The catalogue is a SQLite file elsewhere.
    package init(
        directory path: String, catalog catalogPath: String, accounts: AccountDatabase? = nil,
        limits: SessionFile.Limits = SessionFile.Limits(),
        journalLimits: JournalLimits = JournalLimits(), threads: BlockingThreads, logger: Logger
    ) throws(StoreError) {
        directory = try SessionDirectory(path: path)
        self.accounts = accounts
        self.limits = limits
        self.threads = threads
        self.logger = logger
        catalog = SessionCatalog(
            directory: directory, accounts: accounts, path: catalogPath, limits: limits, threads: threads,
            logger: logger)
        let journals = JournalDirectory(in: directory.handle)
        replay = JournalReplay(journals: journals, sessions: directory, logger: logger)
        journal = Journal(directory: journals, limits: journalLimits, threads: threads, logger: logger)
    }

    /// Makes the session files durable and lets the journal begin anew: what a power cut would need it for is nothing then.
    package func checkpoint() async throws(StoreError) { try await journal.checkpoint() }

    /// A checkpoint, after which the journal goes. For the end, when every session is closed.
    package func shutDown() async throws(StoreError) {
        try await journal.close()
        try await catalog.shutDown()
        try await accounts?.close()
    }

    /// Makes checkpoints, and keeps the catalogue near the files, until the task is cancelled.
    ///
    /// The interval bounds how much a power cut makes the next start replay.
    package func maintain(checkpointSeconds: Int) async {
        var seconds = 0
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(Self.upkeepSeconds))
            seconds += Self.upkeepSeconds
            let isCheckpointDue = seconds >= checkpointSeconds
            if isCheckpointDue { seconds = 0 }
            do throws(StoreError) {
                if isCheckpointDue {
                    try await checkpoint()
                    try await catalog.compareIfOpen()
                    if let accounts, accounts.hasOwners {
                        try await accounts.ledger.sweep(at: Timestamp(milliseconds: wallClockMilliseconds()), self)
                    }
                }
                try await catalog.readChangesIfOpen()
            } catch {
                guard !Task.isCancelled else { return }
                logger.warning("the store's upkeep failed; it is tried again", metadata: ["reason": "\(error)"])
            }
        }
    }

    private static let upkeepSeconds = 2

    /// Reads every session file into the catalogue anew; returns how many there are.
    package func rebuildCatalog(
        progress: @escaping @Sendable (_ done: Int, _ count: Int) -> Void
    ) async throws(StoreError) -> Int {
        try await threads.run { [replay] () throws(StoreError) in try replay.run() }
        return try await catalog.rebuild(progress: progress)
    }

    // MARK: Writing

    package func create(_ file: SessionFile, owner: Owner) async throws(StoreError) {
        let id = file.header.id
        let existing = StoreError(.exists, "session \(id) exists already")
        // Of two who make it at once, the second must not become the owner of what the first has made.
        guard open.withLock({ $0[id] == nil }), creating.withLock({ $0.insert(id).inserted }) else { throw existing }
        defer { creating.withLock { _ = $0.remove(id) } }
        let writer = try await threads.run { [directory, accounts] () throws(StoreError) in
            guard !directory.contains(id) else { throw existing }
            // Before the file is there, so that it is nobody else's for a moment.
            if let accounts {
                try accounts.setOwner(owner, of: id)
            } else if owner != .local {
                throw StoreError(.unavailable, "this store has one user only")
            }
            let handle = try directory.create(id, content: file.bytes)
            return SessionWriter(
                id: id, handle: handle, size: file.bytes.count, tail: file.entries.last?.id,
                lacksLineFeed: file.bytes.last != UInt8(ascii: "\n"))
        }
        open.withLock { $0[id] = writer }
        catalog.noteFile(of: id)
    }

    package func open(_ id: SessionID) async throws(StoreError) -> SessionFile {
        guard open.withLock({ $0[id] == nil }) else {
            throw StoreError(.conflict, "session \(id) is already open in this process")
        }
        let (file, writer) = try await threads.run { [directory, limits, logger, replay] () throws(StoreError) in
            try replay.run()
            let handle = try directory.openLocked(id)
            return try Self.read(id, handle, directory, limits, logger)
        }
        open.withLock { $0[id] = writer }
        if file.originalVersion < SessionHeader.currentVersion { catalog.noteFile(of: id) }
        return file
    }

    package func read(_ id: SessionID) async throws(StoreError) -> SessionFile {
        try await threads.run { [directory, limits, replay] () throws(StoreError) in
            try replay.run()
            return try SessionFile(stored: try directory.openForReading(id).readAll(), as: id, limits)
        }
    }

    /// Reads and repairs: a torn tail is cut off, a missing last line feed added, an old version rewritten.
    private static func read(
        _ id: SessionID, _ handle: FileHandle, _ directory: SessionDirectory, _ limits: SessionFile.Limits,
        _ logger: Logger
    ) throws(StoreError) -> (SessionFile, SessionWriter) {
        let content = try handle.readAll()
        let file = try SessionFile(stored: content, as: id, limits)
        for finding in file.findings.prefix(20) {
            logger.warning(
                "session file has a line that is no entry; it is kept and skipped",
                metadata: ["session_id": "\(id)", "line": "\(finding.lineNumber)", "reason": "\(finding.reason)"])
        }
        if file.originalVersion < SessionHeader.currentVersion {
            let migrated = try directory.replace(id, with: file.bytes, keepingOldAs: file.originalVersion)
            logger.notice(
                "session file migrated", metadata: ["session_id": "\(id)", "version": "\(file.originalVersion)"])
            return (file, SessionWriter(id: id, handle: migrated, size: file.bytes.count, tail: file.entries.last?.id))
        }
        var size = file.bytes.count
        if !file.tornTail.isEmpty {
            try handle.truncate(to: size)
            logger.warning(
                "a torn last line was cut off; it had not been acknowledged",
                metadata: ["session_id": "\(id)", "bytes": "\(file.tornTail.count)"])
        }
        if file.bytes.last != UInt8(ascii: "\n") {
            try handle.write([UInt8(ascii: "\n")], at: size)
            try handle.synchronize()
            size += 1
        }
        return (file, SessionWriter(id: id, handle: handle, size: size, tail: file.entries.last?.id))
    }

    package func append(
        _ entries: [Entry], to id: SessionID, after expected: EntryID?, runs: [RunRecord]
    ) async throws(StoreError) {
        guard let writer = open.withLock({ $0[id] }) else {
            throw StoreError(.conflict, "session \(id) is not open for writing")
        }
        try await journal.append(entries, to: writer, after: expected)
        catalog.noteChange(of: id)
    }

    package func close(_ id: SessionID) async {
        guard let writer = open.withLock({ $0.removeValue(forKey: id) }) else { return }
        do throws(StoreError) {
            try await journal.release(writer)
        } catch {
            logger.error(
                "a session was closed, but its file could not be synced; the journal is replayed at the next open",
                metadata: ["session_id": "\(id)", "reason": "\(error)"])
        }
    }

    package func delete(_ id: SessionID) async throws(StoreError) {
        await close(id)
        try await threads.run { [directory, replay, accounts] () throws(StoreError) in
            try replay.run()
            let handle = try directory.openLocked(id)
            try withExtendedLifetime(handle) { () throws(StoreError) in try directory.remove(id) }
            try accounts?.forgetOwner(of: id)
        }
        do throws(StoreError) {
            try await catalog.forget(id)
        } catch {
            // The session is gone all the same; the catalogue notices at the next list.
            logger.warning("a deleted session stays in the catalogue for now", metadata: ["reason": "\(error)"])
        }
    }

    // MARK: Reading

    package func owner(of id: SessionID) async throws(StoreError) -> Owner? {
        guard let accounts, accounts.hasOwners else { return .local }
        return try await threads.run { () throws(StoreError) in try accounts.owner(of: id) }
    }

    package func export(_ id: SessionID) async throws(StoreError) -> SessionExport {
        try await threads.run { [directory, limits, replay, threads] () throws(StoreError) in
            try replay.run()
            let handle = try directory.openForReading(id)
            let byteCount = try SessionExtent(handle, limits).byteCount(of: id)
            return SessionExport(byteCount: byteCount) { offset throws(StoreError) in
                try await threads.run { () throws(StoreError) in
                    let piece = try handle.read(at: offset, atMost: min(Self.pieceBytes, byteCount - offset))
                    guard !piece.isEmpty else { throw StoreError(.corrupt, "session \(id) was cut while it was read") }
                    return piece[...]
                }
            }
        }
    }

    /// Bytes of one piece of an export.
    private static let pieceBytes = 256 << 10

    package func list(_ query: SessionQuery) async throws(StoreError) -> SessionPage {
        try await threads.run { [replay] () throws(StoreError) in try replay.run() }
        try await catalog.bringUpToDate()
        return try await catalog.page(query)
    }

    package func checkHealth() async throws(StoreError) {
        try await threads.run { [directory] () throws(StoreError) in try directory.checkWritable() }
    }
}
