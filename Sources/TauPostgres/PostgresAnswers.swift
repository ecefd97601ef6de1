internal import CPostgres

/// Puts the answers of a pipeline where they belong.
///
/// libpq gives, for each thing sent, its results and then NULL. After an error everything up to the next synchronisation
/// is answered as aborted. A synchronisation has one result and no NULL; what is between two of them is one transaction,
/// which is committed with the second. Where the commit fails, its error and NULL come before the synchronisation.
struct PostgresAnswers {
    enum Step {
        /// With the name under which a statement is prepared.
        case preparation(String?)
        case execution
        case synchronization
    }

    private(set) var results: [Result<PostgresResult, PostgresError>]
    /// Names under which nothing was prepared.
    private(set) var failedPreparations: [String] = []
    private let expected: [Step]
    /// How the rows of each statement are joined.
    private let separators: [UInt8?]
    private var step = 0
    private var statement = 0
    /// The first statement of the transaction under way.
    private var transactionStart = 0
    /// Why the rest up to the synchronisation is not executed.
    private var failure: PostgresError?

    init(statements: [PostgresStatement], expected: [Step]) {
        self.expected = expected
        separators = statements.map(\.separator)
        results = Array(repeating: .success(PostgresResult()), count: statements.count)
    }

    var isComplete: Bool { step == expected.count }

    mutating func take(_ result: OpaquePointer?) {
        guard !isComplete else { return }
        guard let result else { return goOn() }
        switch PQresultStatus(result) {
        case PGRES_PIPELINE_SYNC: endTransaction()
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK:
            if case .execution = expected[step] {
                results[statement] = .success(Self.read(result, separators[statement]))
            }
        case PGRES_PIPELINE_ABORTED:
            fail(failure ?? PostgresError(.cancelled, "an earlier statement failed"))
        default:
            let error = Self.error(result)
            if failure == nil { failure = error }
            fail(error)
        }
    }

    /// Nothing of a transaction has succeeded before all of it has.
    private mutating func endTransaction() {
        if let failure {
            for index in transactionStart..<statement {
                if case .success = results[index] { results[index] = .failure(failure) }
            }
        }
        failure = nil
        transactionStart = statement
        step += 1
    }

    private mutating func fail(_ error: PostgresError) {
        switch expected[step] {
        case .preparation(let name):
            if let name { failedPreparations.append(name) }
        case .execution: results[statement] = .failure(error)
        // The commit failed; its transaction ends with what comes next.
        case .synchronization: break
        }
    }

    private mutating func goOn() {
        switch expected[step] {
        case .preparation: step += 1
        case .execution:
            statement += 1
            step += 1
        case .synchronization: break
        }
    }

    private static func error(_ result: OpaquePointer) -> PostgresError {
        func field(_ code: Character) -> String? {
            PQresultErrorField(result, Int32(code.asciiValue ?? 0)).map { String(cString: $0) }
        }
        // PG_DIAG_SQLSTATE, PG_DIAG_MESSAGE_PRIMARY and PG_DIAG_MESSAGE_DETAIL of postgres_ext.h.
        let message = field("M") ?? line(String(cString: PQresultErrorMessage(result)))
        let detail = field("D").map { " (\($0))" } ?? ""
        guard let state = field("C") else {
            return PostgresError(.connectionLost(wasSent: true), message)
        }
        return PostgresError(.refused(SQLState(state)), message + detail)
    }

    private static func read(_ result: OpaquePointer, _ separator: UInt8?) -> PostgresResult {
        var read = PostgresResult()
        let columns = PQnfields(result)
        read.columns = (0..<columns).map { PQfname(result, $0).map { String(cString: $0) } ?? "" }
        read.command = String(cString: PQcmdStatus(result))
        read.affectedRows = Int(String(cString: PQcmdTuples(result))) ?? 0
        let rows = PQntuples(result)
        read.rowCount = Int(rows)
        if let separator {
            read.joined = join(result, rows, separator)
        } else {
            for row in 0..<rows { read.add((0..<columns).map { value(result, row, $0).map { Array($0) } }) }
        }
        return read
    }

    private static func join(_ result: OpaquePointer, _ rows: Int32, _ separator: UInt8) -> [UInt8] {
        let size = (0..<rows).reduce(0) { $0 + Int(PQgetlength(result, $1, 0)) + 1 }
        var joined: [UInt8] = []
        joined.reserveCapacity(size + spareBytes)
        for row in 0..<rows {
            if row > 0 { joined.append(separator) }
            if let value = value(result, row, 0) { joined.append(contentsOf: value) }
        }
        return joined
    }

    /// Room for what is put around the values, without a copy of all.
    private static let spareBytes = 4096

    /// Nil for NULL; valid while the result is.
    private static func value(_ result: OpaquePointer, _ row: Int32, _ column: Int32) -> UnsafeRawBufferPointer? {
        guard PQgetisnull(result, row, column) == 0, let value = PQgetvalue(result, row, column) else { return nil }
        return UnsafeRawBufferPointer(start: value, count: Int(PQgetlength(result, row, column)))
    }

    /// A message of libpq's without its line ends.
    static func line(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}
