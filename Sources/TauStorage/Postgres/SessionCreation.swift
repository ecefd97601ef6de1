internal import TauCore
internal import TauPostgres

/// A new session as the statements of one transaction: its rows, its lines, and the lease of the server that makes it.
struct SessionCreation {
    let statements: [PostgresStatement]

    private static let linesPerStatement = 5000
    private static let bytesPerStatement = 8 << 20

    init(_ file: SessionFile, server: [UInt8]) {
        let session = file.header.id.uuid
        let time = file.header.timestamp.milliseconds
        var statements: [PostgresStatement] = []
        var rows = EntryRows()
        var lineCount = 1
        var hasRawLines = false
        func finishRows() {
            guard rows.count > 0 else { return }
            hasRawLines = hasRawLines || rows.hasRawLines
            statements.append(PostgresStatement(Self.lines, [.uuid(session)] + rows.parameters))
            rows = EntryRows()
        }
        for line in file.lines {
            lineCount += 1
            rows.add(line, at: lineCount, of: 0, defaultTime: time)
            if rows.count >= Self.linesPerStatement || rows.byteCount >= Self.bytesPerStatement { finishRows() }
        }
        finishRows()
        let tail = file.entries.last.map { PostgresValue.bytes(Array($0.id.rawValue.utf8)) } ?? .null
        let first = [
            PostgresStatement(
                """
                INSERT INTO sessions (id, public_id, header, created_at, updated_at, totals)
                VALUES ($1, $2, $3, $4, $4, $5)
                """,
                [
                    .uuid(session), .text(file.header.id.rawValue), .utf8(Array(file.header.line)), .integer(time),
                    .utf8(StoredTotals().serialized),
                ]),
            PostgresStatement(
                """
                INSERT INTO session_heads
                    (session_id, epoch, tail_id, line_count, byte_count, lacks_line_feed, has_raw_lines)
                VALUES ($1, 1, $2::bytea, $3, $4, $5, $6)
                """,
                [
                    .uuid(session), tail, .integer(Int64(lineCount)), .integer(Int64(file.bytes.count)),
                    .bool(file.bytes.last != UInt8(ascii: "\n")), .bool(hasRawLines),
                ]),
            PostgresStatement(
                "INSERT INTO leases (session_id, server_id, epoch) VALUES ($1, $2, 1)", [.uuid(session), .uuid(server)]),
        ]
        self.statements = first + statements
    }

    private static let lines = """
        INSERT INTO session_entries (session_id, line, entry_id, parent_id, timestamp, type, content, raw, metadata)
        SELECT $1, place, entry_id, parent_id, timestamp, type, content, raw, tau_jsonb(metadata)
        FROM \(EntryRows.table(from: 2))
        """
}
