internal import Logging
internal import Synchronization
package import TauCore
internal import TauObjects
internal import TauPostgres

/// Sessions in PostgreSQL: one row a line. An append is acknowledged once it is committed, which one batch makes it for all sessions
/// together.
///
/// The right to write is a lease of this server, with an epoch that every append is checked against in its own transaction.
package final class PostgresSessionStore: SessionStore {
    let pool: PostgresPool
    private let reading: ReadPool
    let servers: ServerRegistry
    let settings: PostgresSettings
    let logger: Logger
    let catalog: PostgresCatalog
    private let writer: BatchWriter
    private let messages: PeerMessages
    private let contexts: any ContextStore
    /// Where archived sessions are; nil for none.
    private let bucket: (any ObjectBucket)?
    private let opening = Mutex<Set<SessionID>>([])
    private let open = Mutex<[SessionID: (key: [UInt8], epoch: Int64)]>([:])

    init(
        pool: PostgresPool, reading: ReadPool, writer: BatchWriter, servers: ServerRegistry, messages: PeerMessages,
        contexts: any ContextStore, bucket: (any ObjectBucket)?, settings: PostgresSettings, logger: Logger
    ) {
        self.pool = pool
        self.reading = reading
        self.writer = writer
        self.servers = servers
        self.messages = messages
        self.contexts = contexts
        self.bucket = bucket
        self.settings = settings
        self.logger = logger
        catalog = PostgresCatalog(pool: pool, limits: settings.limits)
    }

    func isOpen(_ id: SessionID) -> Bool { open.withLock { $0[id] != nil } }

    /// The sessions that this process has the right to write.
    var openSessions: [SessionID] { open.withLock { Array($0.keys) } }

    /// The lease is another server's now.
    func forget(_ id: SessionID) { open.withLock { _ = $0.removeValue(forKey: id) } }

    // MARK: Writing

    package func create(_ file: SessionFile, owner: Owner) async throws(StoreError) {
        let id = file.header.id
        try await servers.register()
        let statements = SessionCreation(file, owner: owner, server: servers.id).statements
        let results = try await storing { () throws(PostgresError) in
            try await pool.run(statements, isAtomic: true)
        }
        for result in results {
            guard case .failure(let error) = result else { continue }
            if error.state == .uniqueViolation { throw StoreError(.exists, "session \(id) exists already") }
            throw StoreError(error)
        }
        open.withLock { $0[id] = (id.uuid, 1) }
    }

    package func open(_ id: SessionID) async throws(StoreError) -> SessionFile {
        // From now on, so that of two who open it at once one takes the lease.
        let isFirst = opening.withLock { opening in !isOpen(id) && opening.insert(id).inserted }
        guard isFirst else { throw StoreError(.conflict, "session \(id) is already open in this process") }
        defer { opening.withLock { _ = $0.remove(id) } }
        let (epoch, content) = try await withHandover(of: id) { () throws(StoreError) in try await restored(id) }
        let file = try await SessionFile.stored(content, as: id, settings.limits)
        for finding in file.findings.prefix(20) {
            logger.warning(
                "a session has a line that is no entry; it is kept and skipped",
                metadata: ["session_id": "\(id)", "line": "\(finding.lineNumber)", "reason": "\(finding.reason)"])
        }
        open.withLock { $0[id] = (id.uuid, epoch) }
        return file
    }

    /// Where another server has the session, it is asked for it once: it gives what nothing is at work on.
    private func withHandover<Value>(
        of id: SessionID, _ body: () async throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        do throws(StoreError) {
            return try await body()
        } catch {
            guard error.code == .leased else { throw error }
            try await storing { () throws(PostgresError) in try await messages.askForRelease(of: id) }
            return try await body()
        }
    }

    /// An archived session is brought back first.
    private func restored(_ id: SessionID) async throws(StoreError) -> (epoch: Int64, content: [UInt8]) {
        if let archive, try await extent(of: id).isArchived { try await archive.restore(id) }
        return try await take(id)
    }

    /// Moves sessions to the bucket and back.
    var archive: PostgresArchive? {
        bucket.map { PostgresArchive(pool: pool, servers: servers, store: self, bucket: $0, logger: logger) }
    }

    /// Takes the right to write without reading, for as long as the caller needs it.
    func takeLease(of id: SessionID) async throws(StoreError) -> PostgresArchive.Lease {
        guard !isOpen(id) else { throw StoreError(.leased, "session \(id) is in use") }
        try await servers.register()
        return try await withHandover(of: id) { () throws(StoreError) in
            let key = id.uuid
            let statements = [
                LeaseStatements.take(key, server: servers.id), LeaseStatements.enforce(key, server: servers.id),
                SessionContent.extent(of: key),
            ]
            let results = try await storing { () throws(PostgresError) in
                try await pool.run(statements, isAtomic: true)
            }
            let lease = try await storing { () throws(PostgresError) -> (Int64?, SessionContent.Extent)? in
                _ = try results[1].get()
                guard let row = try results[2].get().rows.first else { return nil }
                return (try results[0].get().rows.first?.integer(0), try SessionContent.Extent(row))
            }
            guard let lease else { throw StoreError(.notFound, "there is no session \(id)") }
            guard let epoch = lease.0 else { throw StoreError(.leased, "another server works on session \(id)") }
            return PostgresArchive.Lease(key: key, epoch: epoch, extent: lease.1, archived: lease.1.archived)
        }
    }

    func giveLeaseBack(of id: SessionID) async {
        do throws(PostgresError) {
            try await pool.query(LeaseStatements.giveBack(id.uuid, server: servers.id), isRepeatable: true)
        } catch {
            logger.warning(
                "a session's lease could not be given back; it is when another server asks for it, or when this one ends",
                metadata: ["session_id": "\(id)", "reason": "\(error)"])
        }
    }

    private func extent(of id: SessionID) async throws(StoreError) -> SessionContent.Extent {
        let extent = try await storing { () throws(PostgresError) in
            try await pool.query(SessionContent.extent(of: id.uuid), isRepeatable: true).rows.first
                .map { row throws(PostgresError) in try SessionContent.Extent(row) }
        }
        guard let extent else { throw StoreError(.notFound, "there is no session \(id)") }
        return extent
    }

    package func owner(of id: SessionID) async throws(StoreError) -> Owner? {
        let statement = PostgresStatement(
            "SELECT tenant, user_id FROM sessions WHERE id = $1 AND public_id = $2",
            [.uuid(id.uuid), .utf8(EntryRows.text(id.rawValue))])
        return try await storing { () throws(PostgresError) in
            try await pool.query(statement, isRepeatable: true).rows.first.map { row throws(PostgresError) in
                Owner(tenantID: try row.text(0), userID: try row.text(1))
            }
        }
    }

    package func summary(of id: SessionID) async throws(StoreError) -> SessionSummary {
        try await catalog.bringUpToDate([id.uuid])
        guard let summary = try await catalog.summary(of: id) else {
            throw StoreError(.notFound, "there is no session \(id)")
        }
        return summary
    }

    /// The bytes of an archived session.
    private func archivedContent(_ archived: ArchivedSession) async throws(StoreError) -> CheckedContent {
        guard let bucket else {
            throw StoreError(.unavailable, "the session is archived, and no archive is configured (archive.url)")
        }
        return try await archiving { () throws(ObjectError) in try await archived.content(in: bucket) }
    }

    /// Takes the lease and reads the session as it is then, in one transaction.
    private func take(_ id: SessionID) async throws(StoreError) -> (epoch: Int64, content: [UInt8]) {
        try await servers.register()
        let session = id.uuid
        let statements = [
            LeaseStatements.take(session, server: servers.id), LeaseStatements.enforce(session, server: servers.id),
            SessionContent.extent(of: session), SessionContent.lines(of: session),
        ]
        let results = try await storing { () throws(PostgresError) in
            var results: [PostgresResult] = []
            for result in try await pool.run(statements, isAtomic: true) { results.append(try result.get()) }
            return results
        }
        let taken = try await storing { () throws(PostgresError) in try await content(of: session, results) }
        guard let taken else { throw StoreError(.notFound, "there is no session \(id)") }
        guard let epoch = taken.epoch else { throw StoreError(.leased, "another server works on session \(id)") }
        return (epoch, taken.content)
    }

    /// What the statements have answered: nil where there is no session, and no epoch where another server has the lease.
    private func content(
        of session: [UInt8], _ results: [PostgresResult]
    ) async throws(PostgresError) -> (epoch: Int64?, content: [UInt8])? {
        guard let row = results[2].rows.first else { return nil }
        guard let lease = results[0].rows.first else { return (nil, []) }
        let extent = try SessionContent.Extent(row)
        let epoch = try lease.integer(0)
        guard extent.comesAtOnce else { return (epoch, try await read(session, extent, from: pool)) }
        return (epoch, Self.content(extent, lines: results[3].joined))
    }

    private static func content(_ extent: SessionContent.Extent, lines: consuming [UInt8]) -> [UInt8] {
        let hasLines = extent.lineCount > 1
        lines.insert(contentsOf: extent.header + (hasLines ? [UInt8(ascii: "\n")] : []), at: 0)
        if !extent.lacksLineFeed { lines.append(UInt8(ascii: "\n")) }
        return lines
    }

    private func read(
        _ session: [UInt8], _ extent: SessionContent.Extent, from pool: PostgresPool
    ) async throws(PostgresError) -> [UInt8] {
        var content: [UInt8] = []
        content.reserveCapacity(extent.byteCount)
        var reader = SessionContent.Reader(session: session, extent: extent)
        while let piece = try await reader.next(pool) { content += piece }
        return content
    }

    package func append(
        _ entries: [Entry], to id: SessionID, after expected: EntryID?, runs: [RunRecord]
    ) async throws(StoreError) {
        guard let lease = open.withLock({ $0[id] }) else {
            throw StoreError(.conflict, "session \(id) is not open for writing")
        }
        guard !entries.isEmpty else { return }
        try await writer.append(
            SessionAppend(session: lease.key, epoch: lease.epoch, expected: expected, entries: entries, runs: runs))
    }

    package func close(_ id: SessionID) async {
        guard open.withLock({ $0.removeValue(forKey: id) }) != nil else { return }
        await giveLeaseBack(of: id)
    }

    package func delete(_ id: SessionID) async throws(StoreError) {
        try await servers.register()
        try await withHandover(of: id) { () throws(StoreError) in try await remove(id) }
        await contexts.forget(id)
    }

    private func remove(_ id: SessionID) async throws(StoreError) {
        let session = id.uuid
        let statements = [
            LeaseStatements.take(session, server: servers.id),
            PostgresStatement("SELECT id FROM sessions WHERE id = $1", [.uuid(session)]),
            // Its object goes after it, whatever happens.
            PostgresStatement(
                """
                INSERT INTO archive_garbage (key, session_id)
                SELECT archive ->> 'key', id FROM sessions WHERE id = $1 AND archive IS NOT NULL
                    AND EXISTS (SELECT FROM leases WHERE session_id = $1 AND server_id = $2)
                ON CONFLICT (key) DO UPDATE SET server_id = NULL
                """, [.uuid(session), .uuid(servers.id)]),
            PostgresStatement(
                """
                DELETE FROM sessions WHERE id = $1
                    AND EXISTS (SELECT FROM leases WHERE session_id = $1 AND server_id = $2)
                """, [.uuid(session), .uuid(servers.id)]),
            PostgresStatement(
                """
                DELETE FROM session_entries WHERE session_id = $1
                    AND NOT EXISTS (SELECT FROM sessions WHERE id = $1)
                """, [.uuid(session)]),
        ]
        let (exists, isDeleted) = try await storing { () throws(PostgresError) in
            let results = try await pool.run(statements, isAtomic: true)
            for result in results { _ = try result.get() }
            return (try results[1].get().rows.first != nil, try results[3].get().affectedRows > 0)
        }
        guard exists else { throw StoreError(.notFound, "there is no session \(id)") }
        guard isDeleted else { throw StoreError(.leased, "another server works on session \(id)") }
        forget(id)
        if let archive { try await archive.removeGarbage(ArchivedSession.key(of: id)) }
    }

    // MARK: Reading

    package func read(_ id: SessionID) async throws(StoreError) -> SessionFile {
        let extent = try await extent(of: id)
        do throws(StoreError) {
            return try await read(id, extent)
        } catch {
            // It may have moved between the tiers meanwhile.
            let again = try await self.extent(of: id)
            guard again.isArchived != extent.isArchived else { throw error }
            return try await read(id, again)
        }
    }

    private func read(_ id: SessionID, _ extent: SessionContent.Extent) async throws(StoreError) -> SessionFile {
        let content: [UInt8]
        if let archived = extent.archived {
            let source = try await archivedContent(archived)
            content = try await archiving { () throws(ObjectError) in try await source.all() }
        } else {
            content = try await storing { () throws(PostgresError) in
                try await reading.read { pool throws(PostgresError) in try await read(id.uuid, extent, from: pool) }
            }
        }
        return try await SessionFile.stored(content, as: id, settings.limits)
    }

    package func context(of id: SessionID, leaf: EntryID?) async throws(StoreError) -> ModelContext? {
        // Also tells whether there is such a session: a cache may still have what was deleted elsewhere.
        let known = try await currentLeaf(of: id)
        let branch = leaf ?? known
        if let branch, let context = await contexts.context(of: branch, in: id) { return context }
        let tree = SessionTree(try await read(id))
        guard let context = tree.context(at: leaf) else { return nil }
        if let branch = leaf ?? tree.leafID { await contexts.keep(context, of: branch, in: id) }
        return context
    }

    /// What the cache has; nil where it has nothing.
    package func cachedContext(of id: SessionID, leaf: EntryID) async -> ModelContext? {
        await contexts.context(of: leaf, in: id)
    }

    /// The session's leaf, where it is known without reading the session.
    private func currentLeaf(of id: SessionID) async throws(StoreError) -> EntryID? {
        let statement = PostgresStatement(
            """
            SELECT head.is_stale, session.totals FROM session_heads AS head
            JOIN sessions AS session ON session.id = head.session_id WHERE head.session_id = $1
            """, [.uuid(id.uuid)])
        let row = try await storing { () throws(PostgresError) in
            try await pool.query(statement, isRepeatable: true).rows.first
                .map { row throws(PostgresError) in (try row.bool(0), try row.bytes(1)) }
        }
        guard let row else { throw StoreError(.notFound, "there is no session \(id)") }
        return row.0 ? nil : StoredTotals(parsing: row.1).totals.leafID
    }

    package func export(_ id: SessionID) async throws(StoreError) -> SessionExport {
        let session = id.uuid
        let extent = try await extent(of: id)
        if let archived = extent.archived {
            let source = ArchiveExport(try await archivedContent(archived))
            return SessionExport(byteCount: archived.byteCount) { offset throws(StoreError) in
                try await archiving { () throws(ObjectError) in try await source.piece(at: offset) }
            }
        }
        let source = ExportSource(
            SessionContent.Reader(session: session, extent: extent, pieceBytes: Self.exportPieceBytes), reading)
        return SessionExport(byteCount: extent.byteCount) { offset throws(StoreError) in
            try await storing { () throws(PostgresError) in try await source.piece(at: offset) }
        }
    }

    private static let exportPieceBytes = 1 << 20

    package func list(_ query: SessionQuery) async throws(StoreError) -> SessionPage {
        try await catalog.bringUpToDate()
        return try await catalog.page(query, from: reading)
    }

    package func checkHealth() async throws(StoreError) {
        // A server that only reads would take no entry.
        let result = try await storing { () throws(PostgresError) in
            try await pool.query(PostgresStatement("SELECT pg_is_in_recovery()"), isRepeatable: true).rows[0].bool(0)
        }
        if result { throw StoreError(.unavailable, "the database only reads: it is a standby") }
    }
}
