/// What somebody has decided or was refused, for whoever has to account for it later.
public struct AuditEvent: Sendable {
    /// What was done, such as `key.create`.
    public var action: String
    /// To what: a user, a key, a session, a tool call.
    public var target: String
    public var outcome: String
    public var time: Timestamp
    /// Nil where the server itself has decided.
    public var owner: Owner?
    public var keyID: String?
    /// The address that the request came from.
    public var address: String?
    public var requestID: String?
    /// Further facts, in their order. No secrets, and nothing that a model or a tool has said.
    public var details: [(name: String, value: String)] = []

    public init(action: String, target: String, outcome: String, time: Timestamp) {
        self.action = action
        self.target = target
        self.outcome = outcome
        self.time = time
    }
}

/// Where events are kept, only ever added to.
public protocol AuditLog: Sendable {
    /// Durable when this returns. What is decided is not done where it cannot be written down.
    func write(_ event: AuditEvent) async throws(StoreError)
}
