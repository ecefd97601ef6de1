package import TauCore
package import TauObjects
package import TauPostgres
package import TauRedis
package import TauSystem

/// How the PostgreSQL tier works.
package struct PostgresSettings: Sendable {
    package var primary: PostgresConfiguration
    package var replica: PostgresConfiguration?
    /// Where other servers are listened to; behind a proxy that hands connections around, the database itself.
    package var listening: PostgresConfiguration
    package var pool = PostgresPool.Limits()
    package var batch = BatchLimits()
    /// Seconds after which a server that is not heard of has lost its leases and runs.
    package var leaseSeconds = 15
    /// Milliseconds that a caller waits for another server to hand over a session that is idle there.
    package var handoverMilliseconds = 1000
    /// Milliseconds that a read waits for the replica to catch up with what was committed, before it asks the primary.
    package var replicaWaitMilliseconds = 50
    /// Where contexts are kept for all servers; nil for this server's memory alone.
    package var redis: RedisConfiguration?
    /// Seconds that they are kept there, and milliseconds that a question may cost.
    package var contextSeconds = 300
    package var redisMilliseconds = 20
    /// Bytes of contexts in this server's memory.
    package var contextBytes = 64 << 20
    /// Where sessions go that are not used; nil for nowhere.
    package var archive: OpenBucket?
    /// Days without an append after which they go there on their own; nil for never.
    package var archiveAfterDays: Int?
    /// Records of ended runs that are kept.
    package var recordedRuns = 10_000
    /// Idempotency keys that are remembered (`http.idempotencyKeys`).
    package var idempotencyKeys = IdempotencyKey.defaultMaxCount
    package var limits = SessionFile.Limits()
    /// What makes this server known again after a restart, so that it need not wait for its own leases; nil for a new one each time.
    package var identity: ProcessIdentity?
    /// This server's name.
    package var node: String

    package init(url: String, node: String) {
        primary = PostgresConfiguration(url: url)
        listening = primary
        self.node = node
    }
}

/// Bounds of the appends of all sessions, which go to the database together.
package struct BatchLimits: Sendable {
    /// Connections that write at the same time.
    package var connections = 2
    /// Appends that must wait for a further connection to take a part of them.
    package var appendsPerConnection = 40
    /// Entries of one batch; a longer append goes alone.
    package var maxEntries = 100
    /// Bytes of one batch; a longer append goes alone.
    package var maxBytes = 4 << 20
    /// Milliseconds that a batch waits for more. What comes while one is under way is the next one in any case.
    package var maxDelayMilliseconds = 0
    /// Microseconds for which the first connection's thread looks for the next append before it sleeps.
    package var lookingMicroseconds = 200
    /// Appends that wait; further ones are refused.
    package var maxWaiting = 20_000
    /// Milliseconds that the state of a run waits for an append to go along with.
    package var noteMilliseconds = 20
    /// Milliseconds that a batch may take.
    package var timeoutMilliseconds = 15_000

    package init() {}
}
