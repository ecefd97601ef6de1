public import TauCore

/// What the edge is told: its bounds, and the parts that it asks.
public struct EdgeConfiguration: Sendable {
    /// Bytes of a request body (`http.maxBodyBytes`); an imported session is one body.
    public var maxBodyBytes = 8 << 20
    /// Bytes of an imported session file (`http.maxImportBytes`).
    public var maxImportBytes = 256 << 20
    /// Silence on an event stream after which a comment is sent (`http.heartbeatSeconds`).
    public var heartbeat: Duration = .seconds(15)
    /// Idempotency keys that are remembered (`http.idempotencyKeys`).
    public var maxIdempotencyKeys = 10_000
    /// Time that one part has to answer a health check (`http.healthTimeoutMs`).
    public var healthTimeout: Duration = .seconds(2)
    /// The clock of request logs and new ids.
    public var now: @Sendable () -> Timestamp
    public var identifiers = IdentifierSource()

    public init(now: @escaping @Sendable () -> Timestamp) { self.now = now }
}
