internal import TauCore
internal import TauPostgres

/// Reads the new lines of some sessions into the list and the search, within one transaction. Sessions that another server reads at
/// this moment are waited for.
struct CatalogUpdate {
    private let connection: PostgresConnection

    init(_ connection: PostgresConnection) { self.connection = connection }

    /// Lines that are read at once; a session with more is finished by further updates.
    private static let maxLines = 5000

    private struct Session {
        var id: [UInt8]
        var createdAt: Int64
        /// Lines that are in the tables, and those that are to be.
        var known: Int
        var last: Int
        var lineCount: Int
        var stored: StoredTotals
        var isBranched = false
        var texts: [(line: Int, text: String)] = []
        var name: String?
    }

    /// Answers which of the sessions are done, or gone.
    func run(_ ids: [[UInt8]]) async throws(PostgresError) -> Set<[UInt8]> {
        var sessions = try await lock(ids)
        let locked = Set(sessions.map(\.id))
        var budget = Self.maxLines
        for index in sessions.indices {
            let new = min(sessions[index].lineCount - sessions[index].known, budget)
            sessions[index].last = sessions[index].known + new
            budget -= new
        }
        try await readNewLines(&sessions)
        for index in sessions.indices where sessions[index].isBranched { try await readTree(&sessions[index]) }
        let changed = sessions.filter { $0.last > $0.known }
        try await write(changed)
        let done = sessions.filter { $0.last >= $0.lineCount }
        try await unmark(done)
        return Set(done.map(\.id)).union(ids.filter { !locked.contains($0) })
    }

    /// Locks the rows that are about to be changed, in one order.
    private func lock(_ ids: [[UInt8]]) async throws(PostgresError) -> [Session] {
        let result = try await connection.query(
            """
            SELECT session.id, session.created_at, session.cataloged_lines, head.line_count, session.totals
            FROM sessions AS session JOIN session_heads AS head ON head.session_id = session.id
            WHERE session.id = ANY($1::uuid[]) ORDER BY session.id FOR UPDATE OF session
            """, .uuids(ids))
        var sessions: [Session] = []
        for row in result.rows {
            let stored = StoredTotals(parsing: try row.bytes(4))
            let known = Int(try row.integer(2))
            sessions.append(
                Session(
                    id: try row.bytes(0), createdAt: try row.integer(1), known: known, last: known,
                    lineCount: max(known, Int(try row.integer(3))), stored: stored, name: stored.totals.name))
        }
        return sessions
    }

    private func readNewLines(_ sessions: inout [Session]) async throws(PostgresError) {
        let result = try await connection.query(
            """
            SELECT part.number, entry.line, entry.content
            FROM unnest($1::uuid[], $2::int8[], $3::int8[]) WITH ORDINALITY AS part(session_id, known, last, number)
            JOIN session_entries AS entry ON entry.session_id = part.session_id
                AND entry.line > part.known AND entry.line <= part.last
            WHERE entry.entry_id IS NOT NULL
            ORDER BY part.number, entry.line
            """, .uuids(sessions.map(\.id)), .integers(sessions.map { Int64($0.known) }),
            .integers(sessions.map { Int64($0.last) }))
        for row in result.rows {
            let index = Int(try row.integer(0)) - 1
            guard let entry = try? Entry(line: try row.bytes(2)[...]) else { continue }
            if let text = entry.searchText {
                sessions[index].texts.append((Int(try row.integer(1)), text))
            }
            if !sessions[index].isBranched, !sessions[index].stored.add(entry) { sessions[index].isBranched = true }
        }
    }

    /// A session of several branches is read as a whole: what its leaf's branch has set may stand anywhere.
    private func readTree(_ session: inout Session) async throws(PostgresError) {
        let result = try await connection.query(
            """
            SELECT content FROM session_entries
            WHERE session_id = $1 AND line <= $2 AND entry_id IS NOT NULL ORDER BY line
            """, .uuid(session.id), .integer(Int64(session.last)))
        var entries: [Entry] = []
        for row in result.rows {
            if let entry = try? Entry(line: try row.bytes(0)[...]) { entries.append(entry) }
        }
        let header = SessionHeader(
            id: SessionID(unchecked: "x"), timestamp: Timestamp(milliseconds: session.createdAt), workingDirectory: "")
        session.stored = StoredTotals(of: SessionTree(SessionFile(header: header, entries: entries)))
    }

    private func write(_ sessions: [Session]) async throws(PostgresError) {
        guard !sessions.isEmpty else { return }
        var texts: (ids: [[UInt8]], lines: [Int64], texts: [[UInt8]?]) = ([], [], [])
        var unnamed: [[UInt8]] = []
        for session in sessions {
            var all = session.texts.map { ($0.line, $0.text) }
            let name = session.stored.totals.name
            if name != session.name {
                if let name { all.append((1, name)) } else { unnamed.append(session.id) }
            }
            for (line, text) in all {
                texts.ids.append(session.id)
                texts.lines.append(Int64(line))
                texts.texts.append(Array(SearchWords.normalized(SearchWords.bounded(text)).utf8))
            }
        }
        let updated = sessions.map { ($0.stored.totals.lastMessageTime?.milliseconds ?? $0.createdAt) }
        let statements = [
            PostgresStatement(
                """
                INSERT INTO session_texts (session_id, line, text)
                SELECT * FROM unnest($1::uuid[], $2::int8[], $3::text[])
                ON CONFLICT (session_id, line) DO UPDATE SET text = excluded.text
                """, [.uuids(texts.ids), .integers(texts.lines), .texts(texts.texts)]),
            PostgresStatement(
                "DELETE FROM session_texts WHERE session_id = ANY($1::uuid[]) AND line = 1", [.uuids(unnamed)]),
            PostgresStatement(
                """
                UPDATE sessions AS session SET
                    updated_at = new.updated_at, name = new.name, metadata = tau_jsonb(new.metadata),
                    totals = new.totals, entry_count = new.entry_count, cataloged_lines = new.lines,
                    appended_at = head.appended_at
                FROM unnest($1::uuid[], $2::int8[], $3::text[], $4::text[], $5::text[], $6::int8[], $7::int8[])
                    AS new(id, updated_at, name, metadata, totals, entry_count, lines)
                JOIN session_heads AS head ON head.session_id = new.id
                WHERE session.id = new.id
                """,
                [
                    .uuids(sessions.map(\.id)), .integers(updated),
                    .texts(sessions.map { $0.stored.totals.name.map(EntryRows.text) }),
                    .texts(sessions.map { JSONValue.object($0.stored.totals.metadata).serialized }),
                    .texts(sessions.map { $0.stored.serialized }),
                    .integers(sessions.map { Int64($0.stored.totals.entryCount) }),
                    .integers(sessions.map { Int64($0.last) }),
                ]),
        ]
        for result in try await connection.run(statements, isAtomic: true) { _ = try result.get() }
    }

    /// Heads that an append holds at this moment stay marked: it marks them anyway, and waiting for it while others wait for us
    /// could last for ever.
    private func unmark(_ sessions: [Session]) async throws(PostgresError) {
        guard !sessions.isEmpty else { return }
        try await connection.query(
            """
            UPDATE session_heads AS head SET is_stale = false FROM (
                SELECT head.session_id FROM session_heads AS head
                JOIN unnest($1::uuid[], $2::int8[]) AS done(session_id, lines) USING (session_id)
                WHERE head.line_count = done.lines FOR UPDATE OF head SKIP LOCKED
            ) AS done WHERE head.session_id = done.session_id
            """, .uuids(sessions.map(\.id)), .integers(sessions.map { Int64($0.lineCount) }))
    }
}
