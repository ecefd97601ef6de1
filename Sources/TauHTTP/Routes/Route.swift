internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import TauCore

/// One operation of the API: who may ask for it, what it does, and what the document says of it. There is no other way to a handler.
struct Route: Sendable {
    /// Who is let in.
    enum Access: Sendable {
        /// Everybody, without a key.
        case everybody
        /// Whoever has the scope.
        case scope(Scopes)
    }

    /// What the path names; it must be the caller's.
    enum Subject: Sendable { case none, session, run }

    enum Handler: Sendable {
        case plain(@Sendable (Request, EdgeContext) async throws -> Response)
        /// Of a POST, which may run once per idempotency key. Its body has so many bytes at most; nil for the server's bound. An answer
        /// that is secret is never stored.
        case once(maxBytes: Int? = nil, isSecret: Bool = false, OnceHandler)
    }

    typealias OnceHandler = @Sendable (Request, EdgeContext, ByteBuffer) async throws -> IdempotentRequests.Answer

    var method: HTTPRequest.Method
    /// From the server's root, with parameters in braces.
    var path: String
    var access: Access
    var subject: Subject
    var description: RouteDescription
    var handler: Handler
}

/// What the OpenAPI document says of an operation.
struct RouteDescription: Sendable {
    struct Parameter: Sendable {
        var name: String
        var schema: JSONValue
    }

    enum Answer: Sendable {
        case nothing
        /// A component of the document.
        case object(String)
        case page(of: String)
        case text(type: String)
        /// Server-sent events instead of JSON, for a caller that accepts them.
        case objectOrEvents(String)
    }

    var summary: String
    var query: [Parameter] = []
    /// The component that the body is; nil for none.
    var body: String?
    /// The type of a body that is not JSON.
    var bodyType = "application/json"
    var status = 200
    var answer: Answer

    init(
        _ summary: String, query: [Parameter] = [], body: String? = nil, bodyType: String = "application/json",
        status: Int = 200, answer: Answer
    ) {
        self.summary = summary
        self.query = query
        self.body = body
        self.bodyType = bodyType
        self.status = status
        self.answer = answer
    }
}

extension RouteDescription.Parameter {
    static let limit = Self(
        name: "limit", schema: ["type": "integer", "minimum": 1, "maximum": 200, "default": 50])
    static let cursor = Self.text("cursor")
    static let page = [limit, cursor]

    static func text(_ name: String) -> Self { Self(name: name, schema: ["type": "string"]) }

    static func choice(_ name: String, _ values: String...) -> Self {
        Self(name: name, schema: ["type": "string", "enum": .array(values.map { .string($0) })])
    }
}
