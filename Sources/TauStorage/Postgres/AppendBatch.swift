internal import TauCore
internal import TauPostgres

/// One append as a batch takes it.
struct SessionAppend: Sendable {
    var session: [UInt8]
    var epoch: Int64
    var expected: EntryID?
    var entries: [Entry]
    /// The states of runs that become true with the entries.
    var runs: [RunRecord] = []

    var byteCount: Int { entries.reduce(0) { $0 + $1.line.count + 1 } }
}

/// Appends to several sessions as one statement: each session's head is moved if it is where its append expects it, under the epoch
/// of its lease, and only then are its entries added, and the states of runs that it carries. A session is in a batch once.
struct AppendBatch {
    private var sessions: [[UInt8]] = []
    private var epochs: [Int64] = []
    private var expected: [[UInt8]?] = []
    private var tails: [[UInt8]?] = []
    private var lineCounts: [Int64] = []
    private var byteCounts: [Int64] = []
    private var rows = EntryRows()
    private var runs: [(record: RunRecord, number: Int64)] = []

    private init(_ appends: [SessionAppend]) {
        for (index, append) in appends.enumerated() {
            sessions.append(append.session)
            epochs.append(append.epoch)
            expected.append(append.expected.map { Array($0.rawValue.utf8) })
            tails.append(append.entries.last.map { Array($0.id.rawValue.utf8) })
            lineCounts.append(Int64(append.entries.count))
            byteCounts.append(Int64(append.byteCount))
            for (place, entry) in append.entries.enumerated() {
                rows.add(entry, at: place + 1, of: index + 1)
            }
            // A statement writes a row once.
            let latest = Dictionary(append.runs.map { ($0.run.id, $0) }) { _, later in later }
            runs += latest.values.map { ($0, Int64(index + 1)) }
        }
    }

    static func statement(_ appends: [SessionAppend], _ runRows: RunRows) -> PostgresStatement {
        if appends.count == 1, appends[0].entries.count == 1, appends[0].runs.isEmpty {
            return single(appends[0], appends[0].entries[0])
        }
        return AppendBatch(appends).statement(runRows)
    }

    private func statement(_ runRows: RunRows) -> PostgresStatement {
        let parameters: [PostgresValue] = [
            .uuids(sessions), .integers(epochs), .byteStrings(expected), .byteStrings(tails), .integers(lineCounts),
            .integers(byteCounts),
        ]
        if runs.isEmpty { return PostgresStatement(Self.text, parameters + rows.parameters) }
        return PostgresStatement(
            Self.textWithRuns, parameters + rows.parameters + runRows.parameters(ofCarried: runs))
    }

    /// Answers the numbers, from 1, of the appends that were made.
    private static let text = "\(additions) SELECT number FROM head"
    private static let textWithRuns =
        "\(additions), noted AS (\(RunRows.addition(from: 7 + EntryRows.parameterCount))) SELECT number FROM head"

    private static let additions = """
        WITH head AS (
            UPDATE session_heads AS head SET
                tail_id = append.tail, line_count = head.line_count + append.lines,
                byte_count = head.byte_count + append.bytes + CASE WHEN head.lacks_line_feed THEN 1 ELSE 0 END,
                lacks_line_feed = false, appended_at = now(), is_stale = true
            FROM unnest($1::uuid[], $2::int8[], $3::bytea[], $4::bytea[], $5::int8[], $6::int8[]) WITH ORDINALITY
                AS append(session_id, epoch, expected, tail, lines, bytes, number)
            WHERE head.session_id = append.session_id AND head.epoch = append.epoch
                AND head.tail_id IS NOT DISTINCT FROM append.expected
            RETURNING append.number, head.session_id, head.line_count - append.lines AS base
        ), added AS (
            INSERT INTO session_entries
                (session_id, line, entry_id, parent_id, timestamp, type, content, raw, metadata)
            SELECT head.session_id, head.base + line.place, line.entry_id, line.parent_id, line.timestamp, line.type,
                line.content, line.raw, line.metadata::jsonb
            FROM \(EntryRows.table(from: 7)) JOIN head USING (number)
        )
        """

    /// Make a connection plan the statement once, and find heads by their key whatever the tables' sizes were then.
    static let planning = [
        PostgresStatement("SET enable_seqscan = off"), PostgresStatement("SET plan_cache_mode = force_generic_plan"),
    ]

    /// The same for one entry, without the work for many.
    private static func single(_ append: SessionAppend, _ entry: Entry) -> PostgresStatement {
        func text(_ id: EntryID?) -> PostgresValue { id.map { .utf8(EntryRows.identifier($0)) } ?? .null }
        func bytes(_ id: EntryID?) -> PostgresValue { id.map { .bytes(Array($0.rawValue.utf8)) } ?? .null }
        let metadata = EntryMetadata.json(of: entry)
        return PostgresStatement(
            singleText,
            [
                .uuid(append.session), .integer(append.epoch), bytes(append.expected), bytes(entry.id),
                .integer(Int64(append.byteCount)), text(entry.id), text(entry.parentID),
                .integer(entry.timestamp?.milliseconds ?? 0), .utf8(EntryRows.type(of: entry)),
                .utf8(Array(entry.line)), metadata.map { .utf8($0) } ?? .null,
            ])
    }

    private static let singleText = """
        WITH head AS (
            UPDATE session_heads AS head SET
                tail_id = $4, line_count = head.line_count + 1,
                byte_count = head.byte_count + $5 + CASE WHEN head.lacks_line_feed THEN 1 ELSE 0 END,
                lacks_line_feed = false, appended_at = now(), is_stale = true
            WHERE session_id = $1 AND epoch = $2 AND tail_id IS NOT DISTINCT FROM $3::bytea
            RETURNING line_count
        )
        INSERT INTO session_entries (session_id, line, entry_id, parent_id, timestamp, type, content, metadata)
        SELECT $1, line_count, $6::text, $7::text, $8, $9::text, $10, $11::text::jsonb FROM head
        RETURNING 1::int8
        """

    /// The indices of the appends that were made, read off the statement's result.
    static func made(_ result: PostgresResult) throws(PostgresError) -> Set<Int> {
        var made: Set<Int> = []
        for row in result.rows { made.insert(Int(try row.integer(0)) - 1) }
        return made
    }
}
