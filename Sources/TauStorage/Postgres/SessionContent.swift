internal import TauCore
internal import TauPostgres

/// A session's lines, read as the bytes of its file.
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
        /// Whether the lines fit into one answer as they are.
        var comesAtOnce: Bool { byteCount <= SessionContent.pieceBytes && !hasRawLines }

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

    /// All lines behind the header, joined, of a session whose lines come at once (`Extent.comesAtOnce`); of others, none.
    static func lines(of session: [UInt8]) -> PostgresStatement {
        PostgresStatement(
            """
            SELECT content FROM session_entries WHERE session_id = $1 AND (
                SELECT byte_count <= $2 AND NOT has_raw_lines FROM session_heads WHERE session_id = $1)
            ORDER BY line
            """, [.uuid(session), .integer(Int64(pieceBytes))], joiningRowsWith: lineFeed)
    }

    private static let lineFeed = UInt8(ascii: "\n")

    /// The lines with these numbers, the header being 1, joined.
    static func piece(of session: [UInt8], lines: ClosedRange<Int>, isRaw: Bool) -> PostgresStatement {
        PostgresStatement(
            """
            SELECT \(isRaw ? "coalesce(raw, convert_to(content, 'UTF8'))" : "content") FROM session_entries
            WHERE session_id = $1 AND line BETWEEN $2 AND $3 ORDER BY line
            """, [.uuid(session), .integer(Int64(lines.lowerBound)), .integer(Int64(lines.upperBound))],
            joiningRowsWith: lineFeed)
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
                let result = try await pool.query(statement, isRepeatable: true)
                guard result.rowCount == last - nextLine + 1 else {
                    throw PostgresError(
                        .unexpectedValue, "lines of a session are missing; it may just have been deleted")
                }
                bytes = result.joined
                nextLine = last + 1
            }
            if nextLine <= extent.lineCount || !extent.lacksLineFeed { bytes.append(UInt8(ascii: "\n")) }
            return bytes
        }
    }
}
