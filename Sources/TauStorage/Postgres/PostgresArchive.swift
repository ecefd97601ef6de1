internal import Logging
package import TauCore
internal import TauObjects
internal import TauPostgres

/// Moves sessions between the tables and a bucket.
///
/// A session is never in neither place: it is uploaded, read back and compared; then its rows go and its mark is set in one
/// transaction. What may lie in the bucket without being anybody's stands in `archive_garbage`, from before an upload until after its
/// end.
package struct PostgresArchive: SessionArchive {
    /// Where a crash may come, for tests that make one come there.
    enum Step: CaseIterable { case leased, noted, uploaded, verified, moved, fetched, restored }

    let pool: PostgresPool
    let servers: ServerRegistry
    let store: PostgresSessionStore
    let bucket: any ObjectBucket
    let logger: Logger
    var crash: @Sendable (Step) throws(StoreError) -> Void = { _ in }

    // MARK: Archiving

    package func archive(_ id: SessionID) async throws(StoreError) {
        try await withLease(of: id) { lease throws(StoreError) in
            try crash(.leased)
            guard !lease.extent.isArchived else { return }
            // The list must know all lines before they go.
            try await store.catalog.bringUpToDate([lease.key])
            let key = ArchivedSession.key(of: id)
            try await note(key, lease.key)
            try crash(.noted)
            let archived = try await upload(key, lease)
            try crash(.uploaded)
            try await archiving { () throws(ObjectError) in
                let copy = try await archived.content(in: bucket)
                while try await copy.next() != nil {}
            }
            try crash(.verified)
            try await move(archived, lease)
            try crash(.moved)
            Measurements.archivedSessions.add(1, "archived")
        }
    }

    private func upload(_ key: String, _ lease: Lease) async throws(StoreError) -> ArchivedSession {
        let reader = LineSource(SessionContent.Reader(session: lease.key, extent: lease.extent), pool)
        let content = CheckedContent(
            ObjectContent(byteCount: lease.extent.byteCount) { () throws(ObjectError) in try await reader.next() },
            sha256: nil)
        try await archiving { () throws(ObjectError) in
            try await bucket.put(
                key,
                ObjectContent(byteCount: lease.extent.byteCount) { () throws(ObjectError) in try await content.next() })
        }
        return ArchivedSession(key: key, byteCount: await content.byteCount, sha256: await content.sha256)
    }

    /// Takes the rows away, if nothing has changed since they were read.
    private func move(_ archived: ArchivedSession, _ lease: Lease) async throws(StoreError) {
        let statement = PostgresStatement(
            """
            WITH head AS (
                UPDATE session_heads SET epoch = epoch
                WHERE session_id = $1 AND epoch = $2 AND line_count = $3 AND NOT is_stale RETURNING session_id
            ), moved AS (
                UPDATE sessions SET tier = 'archived', archive =
                    jsonb_build_object('key', $4::text, 'bytes', $5::int8, 'sha256', $6::text, 'at', now())
                FROM head WHERE id = head.session_id RETURNING id
            ), gone AS (
                DELETE FROM session_entries USING moved WHERE session_entries.session_id = moved.id
            ), noted AS (
                DELETE FROM archive_garbage USING moved WHERE key = $4
            )
            SELECT id FROM moved
            """,
            [
                .uuid(lease.key), .integer(lease.epoch), .integer(Int64(lease.extent.lineCount)), .text(archived.key),
                .integer(Int64(archived.byteCount)), .text(archived.sha256),
            ])
        let isMoved = try await storing { () throws(PostgresError) in try await !pool.query(statement).rows.isEmpty }
        guard isMoved else { throw StoreError(.conflict, "the session has changed while it was archived") }
    }

    // MARK: Restoring

    package func restore(_ id: SessionID) async throws(StoreError) {
        try await withLease(of: id) { lease throws(StoreError) in
            guard let archived = lease.archived else { return }
            let content = try await archiving { () throws(ObjectError) in
                try await archived.content(in: bucket).all()
            }
            let file = try SessionFile(stored: content, as: id, store.settings.limits)
            try crash(.fetched)
            let lines = SessionCreation.lineStatements(of: file)
            try await storing { () throws(PostgresError) in
                try await pool.withConnection { connection throws(PostgresError) in
                    try await connection.transaction { connection throws(PostgresError) in
                        try await putBack(lines, archived, lease, connection)
                    }
                }
            }
            try crash(.restored)
            Measurements.archivedSessions.add(1, "restored")
            try await removeGarbage(archived.key)
        }
    }

    private func putBack(
        _ lines: [PostgresStatement], _ archived: ArchivedSession, _ lease: Lease, _ connection: PostgresConnection
    ) async throws(PostgresError) {
        let marked = try await connection.query(
            """
            UPDATE sessions SET tier = 'hot', archive = NULL FROM session_heads AS head
            WHERE id = $1 AND tier = 'archived' AND head.session_id = $1 AND head.epoch = $2
            """, .uuid(lease.key), .integer(lease.epoch))
        guard marked.affectedRows == 1 else {
            throw PostgresError(.unavailable, "the session was taken over while it was restored")
        }
        // Its time begins anew.
        let touched = PostgresStatement(
            "UPDATE session_heads SET appended_at = now(), is_stale = true WHERE session_id = $1", [.uuid(lease.key)])
        let garbage = PostgresStatement(
            "INSERT INTO archive_garbage (key, session_id) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET server_id = NULL",
            [.text(archived.key), .uuid(lease.key)])
        for result in try await connection.run(lines + [touched, garbage], isAtomic: true) { _ = try result.get() }
    }

    // MARK: Sweeping

    /// Names the advisory lock of the server that sweeps: "tau" and a number.
    private static let lock: Int64 = 0x7461_7500_0000_0002

    package func sweep(
        afterDays days: Int, isTrial: Bool,
        progress: @Sendable (_ done: Int, _ count: Int, SessionID, StoreError?) -> Void
    ) async throws(StoreError) -> Int? {
        try await servers.register()
        // The lock is the connection's, and goes with it: it must not be one of the pool's, which a proxy may give to others.
        let connection = try await storing { () throws(PostgresError) in
            try await PostgresConnection.connect(store.settings.listening)
        }
        let result: Result<Int?, StoreError>
        do throws(StoreError) {
            let isLocked = try await storing { () throws(PostgresError) in
                try await connection.query("SELECT pg_try_advisory_lock($1)", .integer(Self.lock)).rows[0].bool(0)
            }
            result = .success(isLocked ? try await sweepAlone(days, isTrial, progress) : nil)
        } catch {
            result = .failure(error)
        }
        await connection.close()
        return try result.get()
    }

    private func sweepAlone(
        _ days: Int, _ isTrial: Bool,
        _ progress: @Sendable (_ done: Int, _ count: Int, SessionID, StoreError?) -> Void
    ) async throws(StoreError) -> Int {
        if !isTrial { try await removeAllGarbage() }
        let old = try await storing { () throws(PostgresError) in
            let result = try await pool.query(
                """
                SELECT session.public_id FROM sessions AS session
                JOIN session_heads AS head ON head.session_id = session.id
                WHERE session.tier = 'hot' AND session.appended_at < now() - make_interval(days => $1::int4)
                    AND head.appended_at < now() - make_interval(days => $1::int4)
                ORDER BY session.appended_at
                """, .integer(Int64(days)))
            var old: [SessionID] = []
            for row in result.rows { old.append(SessionID(unchecked: try row.text(0))) }
            return old
        }
        var count = 0
        for (index, id) in old.enumerated() {
            guard !Task.isCancelled else { break }
            do throws(StoreError) {
                if !isTrial { try await archive(id) }
                count += 1
                progress(index + 1, old.count, id, nil)
            } catch {
                // The next sweep tries again.
                progress(index + 1, old.count, id, error)
            }
        }
        return count
    }

    // MARK: Garbage

    /// Writes down that an object may be there for nobody, before it is uploaded. Waits for one who is just removing it.
    private func note(_ key: String, _ session: [UInt8]) async throws(StoreError) {
        let statement = PostgresStatement(
            """
            INSERT INTO archive_garbage (key, session_id, server_id) VALUES ($1, $2, $3)
            ON CONFLICT (key) DO UPDATE SET server_id = excluded.server_id, noted_at = now()
            """, [.text(key), .uuid(session), .uuid(servers.id)])
        try await storing { () throws(PostgresError) in _ = try await pool.query(statement) }
    }

    /// Removes an object that is nobody's, if it is noted as such and no server at work is uploading it. Its note goes with it, or stays.
    func removeGarbage(_ key: String) async throws(StoreError) {
        do throws(PostgresError) {
            try await pool.withConnection { connection throws(PostgresError) in
                try await connection.transaction { connection throws(PostgresError) in
                    let result = try await connection.query(
                        """
                        DELETE FROM archive_garbage AS garbage WHERE key = $1 AND NOT EXISTS (
                            SELECT FROM servers WHERE id = garbage.server_id AND id <> $2 AND expires_at > now())
                            AND NOT EXISTS (SELECT FROM sessions WHERE archive ->> 'key' = $1 AND id = garbage.session_id)
                        """, .text(key), .uuid(servers.id))
                    guard result.affectedRows == 1 else { return }
                    do throws(ObjectError) {
                        try await bucket.delete(key)
                    } catch {
                        throw PostgresError(.unavailable, "the archive: \(error.message)")
                    }
                }
            }
        } catch {
            logger.warning(
                "an archived object that is not needed stays for now; the next sweep removes it",
                metadata: ["reason": "\(error)"])
        }
    }

    private func removeAllGarbage() async throws(StoreError) {
        let keys = try await storing { () throws(PostgresError) in
            var keys: [String] = []
            for row in try await pool.query("SELECT key FROM archive_garbage ORDER BY noted_at").rows {
                keys.append(try row.text(0))
            }
            return keys
        }
        for key in keys { try await removeGarbage(key) }
    }

    // MARK: Leases

    struct Lease: Sendable {
        var key: [UInt8]
        var epoch: Int64
        var extent: SessionContent.Extent
        /// Where it is archived.
        var archived: ArchivedSession?
    }

    /// Has the right to write the session for the time of `body`. A server that dies meanwhile loses it with its other leases.
    private func withLease<Value: Sendable>(
        of id: SessionID, _ body: (Lease) async throws(StoreError) -> Value
    ) async throws(StoreError) -> Value {
        let lease = try await store.takeLease(of: id)
        let result: Result<Value, StoreError>
        do throws(StoreError) {
            result = .success(try await body(lease))
        } catch {
            result = .failure(error)
        }
        await store.giveLeaseBack(of: id)
        return try result.get()
    }
}

/// The lines of a session as the pieces of an object.
private actor LineSource {
    private var reader: SessionContent.Reader
    private let pool: PostgresPool

    init(_ reader: SessionContent.Reader, _ pool: PostgresPool) {
        self.reader = reader
        self.pool = pool
    }

    func next() async throws(ObjectError) -> [UInt8]? {
        do throws(PostgresError) {
            var ahead = reader
            defer { reader = ahead }
            return try await ahead.next(pool)
        } catch {
            throw ObjectError(.source, "a session cannot be read: \(error.message)")
        }
    }
}
