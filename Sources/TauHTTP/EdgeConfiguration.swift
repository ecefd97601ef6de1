package import TauCore

/// What the edge is told: its bounds, and the parts that it asks.
package struct EdgeConfiguration: Sendable {
    /// Bytes of a request body (`http.maxBodyBytes`); an imported session is one body.
    package var maxBodyBytes = 8 << 20
    /// Bytes of an imported session file (`http.maxImportBytes`).
    package var maxImportBytes = 256 << 20
    /// Silence on an event stream after which a comment is sent (`http.heartbeatSeconds`).
    package var heartbeat: Duration = .seconds(15)
    /// Idempotency keys that are remembered (`http.idempotencyKeys`).
    package var maxIdempotencyKeys = 10_000
    /// Time that one part has to answer a health check (`http.healthTimeoutMs`).
    package var healthTimeout: Duration = .seconds(2)
    /// What holds the sessions, as `/health` calls it: `disk` or `database`.
    package var storagePart = "disk"
    /// What may be asked how often; nil for no limits.
    package var rateLimits: RateLimits?
    /// Proxies that are believed where a request comes from (`http.trustedProxies`).
    package var trustedProxies: [NetworkRange] = []
    /// The clock of request logs and new ids.
    package var now: @Sendable () -> Timestamp
    package var identifiers = IdentifierSource()

    package init(now: @escaping @Sendable () -> Timestamp) { self.now = now }
}
