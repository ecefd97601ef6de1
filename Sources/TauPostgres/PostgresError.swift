/// Why a query or a connection failed.
package struct PostgresError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// No connection could be made, or none came free in time.
        case unavailable
        /// The connection broke. Whether the server got the query decides whether it may be tried again.
        case connectionLost(wasSent: Bool)
        /// The server refused the query, with its SQLSTATE.
        case refused(SQLState)
        /// The task was cancelled, and with it the query.
        case cancelled
        /// The query took longer than it may.
        case timedOut
        /// A value is not of the kind that was asked for.
        case unexpectedValue
    }

    package var code: Code
    /// For logs and administrators. It may hold values of the query, but never a password.
    package var message: String
    /// What callers may be told instead, where `message` has libpq's words, which may name hosts.
    package var summary: String?

    package init(_ code: Code, _ message: String, summary: String? = nil) {
        self.code = code
        self.message = message
        self.summary = summary
    }

    package var description: String {
        if case .refused(let state) = code { return "\(message) (SQLSTATE \(state.text))" }
        return message
    }

    package var state: SQLState? {
        if case .refused(let state) = code { return state }
        return nil
    }

    /// Whether a connection that answered a statement with this is of no use any more.
    package var endsConnection: Bool {
        switch code {
        case .unavailable, .connectionLost: true
        // The server is on its way down, or somebody has ended this connection.
        // After a failover a server that only reads is not the one that was meant.
        case .refused(let state): state.isOfClass("57P") || state == .readOnlyTransaction
        case .cancelled, .timedOut, .unexpectedValue: false
        }
    }
}

/// The five characters by which PostgreSQL names an error (PostgreSQL's documentation, appendix A).
package struct SQLState: Sendable, Hashable {
    package var text: String

    package init(_ text: String) { self.text = text }

    package static let uniqueViolation = SQLState("23505")
    package static let foreignKeyViolation = SQLState("23503")
    package static let serializationFailure = SQLState("40001")
    package static let deadlock = SQLState("40P01")
    package static let failedTransaction = SQLState("25P02")
    package static let queryCancelled = SQLState("57014")
    package static let readOnlyTransaction = SQLState("25006")
    package static let undefinedTable = SQLState("42P01")
    package static let diskFull = SQLState("53100")
    /// A prepared statement that this server process does not know, or knows already: somebody in between hands
    /// connections around.
    package static let unknownStatement = SQLState("26000")
    package static let duplicateStatement = SQLState("42P05")

    package func isOfClass(_ prefix: String) -> Bool { text.utf8.starts(with: prefix.utf8) }
}
