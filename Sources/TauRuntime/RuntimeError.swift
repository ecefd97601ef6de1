public import TauCore

/// Why the runtime refused. Each code is one problem of the HTTP API.
public struct RuntimeError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable {
        case notFound, conflict, runInProgress, badRequest, invalidContent, draining, storageUnavailable,
            modelUnavailable, overloaded, budgetExceeded
    }

    /// What is wrong with one part of the input.
    public struct Detail: Sendable, Equatable {
        public var path: String
        public var message: String

        public init(path: String, message: String) {
            self.path = path
            self.message = message
        }
    }

    public var code: Code
    public var message: String
    public var details: [Detail]
    /// What only logs may tell; nil where `message` says it all.
    public var confidential: String?

    public init(_ code: Code, _ message: String, details: [Detail] = [], confidential: String? = nil) {
        self.code = code
        self.message = message
        self.details = details
        self.confidential = confidential
    }

    public var description: String { message }

    /// The store's failure as the caller may see it.
    public init(_ error: StoreError) {
        switch error.code {
        case .notFound: self.init(.notFound, "There is no such session.")
        case .conflict, .exists: self.init(.conflict, error.message)
        case .leased:
            self.init(.runInProgress, "Another server works on this session. Wait for its run, or cancel it.")
        case .corrupt, .unavailable: self.init(.storageUnavailable, error.message, confidential: error.detail)
        case .badCursor:
            self.init(.badRequest, error.message, details: [Detail(path: "cursor", message: error.message)])
        }
    }
}

/// Runs a store's call and gives its failure as a runtime error.
func storing<Value>(_ body: () async throws(StoreError) -> Value) async throws(RuntimeError) -> Value {
    do throws(StoreError) {
        return try await body()
    } catch {
        throw RuntimeError(error)
    }
}
