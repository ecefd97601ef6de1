internal import TauCore
internal import TauPostgres

/// The states of runs as rows of one statement. Statements that write the same runs take their rows in one order.
struct RunRows: Sendable {
    let server: [UInt8]

    /// The states alone.
    func statement(_ records: [RunRecord]) -> PostgresStatement {
        PostgresStatement(
            """
            INSERT INTO runs (id, session_id, server_id, status, is_final, record)
            SELECT id, session_id, $1, status, is_final = 1, record
            FROM unnest($2::text[], $3::text[], $4::int8[], $5::text[], $6::uuid[])
                AS run(id, status, is_final, record, session_id)
            ORDER BY id
            \(Self.replacement)
            """, parameters(records) + [.uuids(records.map { $0.run.sessionID.uuid })])
    }

    /// The states that appends carry, of the sessions in `head` that have these numbers, as a part of the appends' statement;
    /// `first` is its first parameter's number.
    static func addition(from first: Int) -> String {
        """
        INSERT INTO runs (id, session_id, server_id, status, is_final, record)
        SELECT run.id, head.session_id, $\(first)::uuid, run.status, run.is_final = 1, run.record
        FROM unnest($\(first + 1)::text[], $\(first + 2)::text[], $\(first + 3)::int8[], $\(first + 4)::text[],
            $\(first + 5)::int8[]) AS run(id, status, is_final, record, number) JOIN head USING (number)
        ORDER BY run.id
        \(replacement)
        """
    }

    func parameters(ofCarried records: [(record: RunRecord, number: Int64)]) -> [PostgresValue] {
        parameters(records.map(\.record)) + [.integers(records.map(\.number))]
    }

    private func parameters(_ records: [RunRecord]) -> [PostgresValue] {
        [
            .uuid(server), .texts(records.map { EntryRows.text($0.run.id.rawValue) }),
            .texts(records.map { Array($0.run.status.rawValue.utf8) }),
            .integers(records.map { $0.run.status.isFinal ? 1 : 0 }), .texts(records.map(\.serialized)),
        ]
    }

    private static let replacement = """
        ON CONFLICT (id) DO UPDATE SET
            server_id = excluded.server_id, status = excluded.status, is_final = excluded.is_final,
            record = excluded.record
        """
}
