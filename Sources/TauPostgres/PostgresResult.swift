/// What a query answered.
package struct PostgresResult: Sendable {
    package var columns: [String] = []
    package fileprivate(set) var rows: [PostgresRow] = []
    /// The first values of all rows, where the statement joins them; then there are no rows.
    package var joined: [UInt8] = []
    /// Rows that were answered.
    package var rowCount = 0
    /// What the server did, such as `SELECT 3` or `COMMIT`.
    package var command = ""
    /// Rows that an INSERT, UPDATE or DELETE has touched.
    package var affectedRows = 0

    package init() {}

    mutating func add(_ cells: [[UInt8]?]) { rows.append(PostgresRow(cells: cells)) }
}

/// One row, its values in PostgreSQL's binary format.
package struct PostgresRow: Sendable {
    fileprivate let cells: [[UInt8]?]

    package func isNull(_ column: Int) -> Bool { cells[column] == nil }

    /// Of `int2`, `int4` and `int8`.
    package func integer(_ column: Int) throws(PostgresError) -> Int64 {
        guard let bytes = cells[column], [2, 4, 8].contains(bytes.count) else { throw unexpected(column, "an integer") }
        let bits = bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let unused = 64 - 8 * bytes.count
        return Int64(bitPattern: bits << unused) >> unused
    }

    package func double(_ column: Int) throws(PostgresError) -> Double {
        guard let bytes = cells[column], bytes.count == 8 else { throw unexpected(column, "a float8") }
        return Double(bitPattern: bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }

    package func bool(_ column: Int) throws(PostgresError) -> Bool {
        guard let bytes = cells[column], bytes.count == 1 else { throw unexpected(column, "a boolean") }
        return bytes[0] != 0
    }

    /// Of `text`, `varchar`, `bytea`, `uuid` (16 bytes) and `json`.
    package func bytes(_ column: Int) throws(PostgresError) -> [UInt8] {
        guard let bytes = cells[column] else { throw unexpected(column, "a value") }
        return bytes
    }

    package func text(_ column: Int) throws(PostgresError) -> String {
        guard let text = String(validating: try bytes(column), as: UTF8.self) else { throw unexpected(column, "UTF-8") }
        return text
    }

    private func unexpected(_ column: Int, _ kind: String) -> PostgresError {
        PostgresError(.unexpectedValue, "column \(column) does not hold \(kind)")
    }
}

/// A query with its parameters, `$1` the first.
package struct PostgresStatement: Sendable {
    package var text: String
    package var parameters: [PostgresValue]
    /// A byte between the first values of the rows, which are answered as one value: many rows cost little then, and the database
    /// need not hold them all at once.
    package var separator: UInt8?

    package init(_ text: String, _ parameters: [PostgresValue] = [], joiningRowsWith separator: UInt8? = nil) {
        self.text = text
        self.parameters = parameters
        self.separator = separator
    }
}
