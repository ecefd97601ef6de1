internal import TauCore
internal import TauPostgres

/// A session's lines, read as the bytes of its file: the database joins them, so that they come as one value.
struct SessionContent {
    /// Where a session's lines end, and how.
    struct Extent: Sendable {
        var lineCount: Int
        var byteCount: Int
        var lacksLineFeed: Bool
        var hasRawLines: Bool
        var header: [UInt8]
        /// The object that holds the lines, where they are archived.
        var archived: ArchivedSession?
        var isArchived: Bool { archived != nil }

        init(_ row: PostgresRow) throws(PostgresError) {
            lineCount = Int(try row.integer(0))
            byteCount = Int(try row.integer(1))
            lacksLineFeed = try row.bool(2)
            hasRawLines = try row.bool(3)
            header = try row.bytes(4)
            archived = row.isNull(5) ? nil : ArchivedSession(json: Array(try row.bytes(5)))
        }
    }

    /// Bytes that are read at once.
    static let pieceBytes = 16 << 20

    static func extent(of session: [UInt8]) -> PostgresStatement {
        PostgresStatement(
            """
            SELECT head.line_count, head.byte_count, head.lacks_line_feed, head.has_raw_lines, session.header,
                session.archive::text
            FROM session_heads AS head JOIN sessions AS session ON session.id = head.session_id
            WHERE head.session_id = $1
            """, [.uuid(session)])
    }

    /// All lines behind the header, if they are not too many bytes for one answer; NULL else. They are behind a line feed each.
    static func lines(of session: [UInt8]) -> PostgresStatement {
        PostgresStatement(
            """
            SELECT string_agg(line.content, E'\\n') FROM session_heads AS head, LATERAL (
                SELECT content FROM session_entries AS entry WHERE entry.session_id = $1 ORDER BY entry.line
            ) AS line WHERE head.session_id = $1 AND head.byte_count <= $2 AND NOT head.has_raw_lines
            """, [.uuid(session), .integer(Int64(pieceBytes))])
    }

    /// The lines with these numbers, the header being 1, each with its line feed.
    static func piece(of session: [UInt8], lines: ClosedRange<Int>, isRaw: Bool) -> PostgresStatement {
        let joined =
            isRaw
            ? "string_agg(coalesce(raw, convert_to(content, 'UTF8')), '\\x0a'::bytea)" : "string_agg(content, E'\\n')"
        return PostgresStatement(
            """
            SELECT \(joined), count(*) FROM (
                SELECT content, raw FROM session_entries
                WHERE session_id = $1 AND line BETWEEN $2 AND $3 ORDER BY line
            ) AS line
            """, [.uuid(session), .integer(Int64(lines.lowerBound)), .integer(Int64(lines.upperBound))])
    }

    /// Reads the pieces of a session one after the other.
    struct Reader {
        let session: [UInt8]
        let extent: Extent
        private var nextLine = 1
        private let linesPerPiece: Int

        init(session: [UInt8], extent: Extent, pieceBytes: Int = SessionContent.pieceBytes) {
            self.session = session
            self.extent = extent
            linesPerPiece = max(1, pieceBytes / max(1, extent.byteCount / max(1, extent.lineCount)))
        }

        /// The next bytes of the file; nil behind the last.
        mutating func next(_ pool: PostgresPool) async throws(PostgresError) -> [UInt8]? {
            guard nextLine <= extent.lineCount else { return nil }
            var bytes: [UInt8]
            if nextLine == 1 {
                nextLine = 2
                bytes = extent.header
            } else {
                let last = min(extent.lineCount, nextLine + linesPerPiece - 1)
                let statement = SessionContent.piece(
                    of: session, lines: nextLine...last, isRaw: extent.hasRawLines)
                let row = try await pool.query(statement, isRepeatable: true).rows[0]
                guard try row.integer(1) == Int64(last - nextLine + 1) else {
                    throw PostgresError(
                        .unexpectedValue, "lines of a session are missing; it may just have been deleted")
                }
                bytes = try row.bytes(0)
                nextLine = last + 1
            }
            if nextLine <= extent.lineCount || !extent.lacksLineFeed { bytes.append(UInt8(ascii: "\n")) }
            return bytes
        }
    }
}
