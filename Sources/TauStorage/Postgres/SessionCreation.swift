internal import TauCore
internal import TauPostgres

/// A new session as the statements of one transaction: its rows, its lines, and the lease of the server that makes it.
struct SessionCreation {
    let statements: [PostgresStatement]

    private static let linesPerStatement = 5000
    private static let bytesPerStatement = 8 << 20

    init(_ file: SessionFile, owner: Owner, server: [UInt8]) {
        let session = file.header.id.uuid
        let time = file.header.timestamp.milliseconds
        let lines = Lines(of: file)
        let tail = file.entries.last.map { PostgresValue.bytes(Array($0.id.rawValue.utf8)) } ?? .null
        let first = [
            PostgresStatement(
                """
                INSERT INTO sessions (id, public_id, header, created_at, updated_at, totals, tenant, user_id)
                VALUES ($1, $2, $3, $4, $4, $5, $6, $7)
                """,
                [
                    .uuid(session), .text(file.header.id.rawValue), .utf8(Array(file.header.line)), .integer(time),
                    .utf8(StoredTotals().serialized), .utf8(EntryRows.text(owner.tenantID)),
                    .utf8(EntryRows.text(owner.userID)),
                ]),
            PostgresStatement(
                """
                INSERT INTO session_heads
                    (session_id, epoch, tail_id, line_count, byte_count, lacks_line_feed, has_raw_lines)
                VALUES ($1, 1, $2::bytea, $3, $4, $5, $6)
                """,
                [
                    .uuid(session), tail, .integer(Int64(lines.count)), .integer(Int64(file.bytes.count)),
                    .bool(file.bytes.last != UInt8(ascii: "\n")), .bool(lines.hasRaw),
                ]),
            PostgresStatement(
                "INSERT INTO leases (session_id, server_id, epoch) VALUES ($1, $2, 1)", [.uuid(session), .uuid(server)]),
        ]
        statements = first + lines.statements
    }

    /// The lines of a session whose other rows are there.
    static func lineStatements(of file: SessionFile) -> [PostgresStatement] { Lines(of: file).statements }

    private struct Lines {
        var statements: [PostgresStatement] = []
        /// The header among them.
        var count = 1
        var hasRaw = false

        init(of file: SessionFile) {
            let session = file.header.id.uuid
            var rows = EntryRows()
            func finishRows() {
                guard rows.count > 0 else { return }
                hasRaw = hasRaw || rows.hasRawLines
                statements.append(PostgresStatement(SessionCreation.lines, [.uuid(session)] + rows.parameters))
                rows = EntryRows()
            }
            for line in file.lines {
                count += 1
                rows.add(line, at: count, of: 0, defaultTime: file.header.timestamp.milliseconds)
                if rows.count >= linesPerStatement || rows.byteCount >= bytesPerStatement { finishRows() }
            }
            finishRows()
        }
    }

    private static let lines = """
        INSERT INTO session_entries (session_id, line, entry_id, parent_id, timestamp, type, content, raw, metadata)
        SELECT $1, place, entry_id, parent_id, timestamp, type, content, raw, tau_jsonb(metadata)
        FROM \(EntryRows.table(from: 2))
        """
}
