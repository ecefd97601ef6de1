package import TauCore

/// What the edge is told: its bounds, and the parts that it asks.
package struct EdgeConfiguration: Sendable {
    /// Bytes of a request body (`http.maxBodyBytes`); an imported session is one body.
    package var maxBodyBytes = 8 << 20
    /// Bytes of an imported session file (`http.maxImportBytes`).
    package var maxImportBytes = 256 << 20
    /// Silence on an event stream after which a comment is sent (`http.heartbeatSeconds`).
    package var heartbeat: Duration = .seconds(15)
    /// Event streams that one user has open at once (`http.maxStreamsPerUser`).
    package var maxStreamsPerUser = 64
    /// Connections at once (`http.maxConnections`); further ones wait until one is closed.
    package var maxConnections = 10_000
    /// Seconds for the head of a first request (`http.headSeconds`).
    package var headSeconds = 10
    /// Seconds between an answer and the head of the next request (`http.idleSeconds`).
    package var idleSeconds = 75
    /// Bytes of the head of a request, and of one of its fields.
    package var maxHeadBytes = 16 << 10
    /// Fields of a head.
    package var maxHeadFields = 100
    /// Bytes of an answer to a request with an idempotency key that is stored (`http.maxKeptAnswerBytes`); a larger one can only be given
    /// again by the same process.
    package var maxKeptAnswerBytes = 64 << 10
    /// The parts that `/health` tells of.
    package var healthParts: [HealthPart] = []
    /// What may be asked how often; nil for no limits.
    package var rateLimits: RateLimits?
    /// Where decisions are written down; nil for nowhere.
    package var audit: (any AuditLog)?
    /// Proxies that are believed where a request comes from (`http.trustedProxies`).
    package var trustedProxies: [NetworkRange] = []
    /// With it connections are encrypted (`http.tls.…`).
    package var certificate: ServerCertificate?
    /// What reads the metrics; nil for none.
    package var metrics: MetricsPage?
    /// The clock of request logs and new ids.
    package var now: @Sendable () -> Timestamp
    package var identifiers = IdentifierSource()

    package init(now: @escaping @Sendable () -> Timestamp) { self.now = now }
}
