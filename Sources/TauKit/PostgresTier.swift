internal import TauCore
internal import TauObjects
internal import TauPostgres
internal import TauRedis
package import TauStorage
internal import TauSystem

/// What of the PostgreSQL tier can be set, by its names in the configuration.
public struct PostgresTier: Sendable {
    /// The primary (`postgres.url`), as libpq takes it; several hosts may be named with `target_session_attrs=read-write`.
    public var url: String
    /// A streaming replica that answers reads (`postgres.replicaUrl`); nil for none.
    public var replicaURL: String?
    /// The database itself (`postgres.listenUrl`), where `url` is a proxy that hands connections around: LISTEN needs one of its own.
    public var listenURL: String?
    /// Connections at the most (`postgres.pool.max`).
    public var maxConnections = 20
    /// Seconds after which a connection that nobody needs is closed (`postgres.pool.idleSeconds`).
    public var idleSeconds = 30
    /// Milliseconds that a caller waits for a connection (`postgres.pool.waitMs`).
    public var waitMilliseconds = 5000
    /// Milliseconds for one attempt to connect (`postgres.pool.connectTimeoutMs`).
    public var connectTimeoutMilliseconds = 2000
    /// Milliseconds that a query may take (`postgres.queryTimeoutMs`).
    public var queryTimeoutMilliseconds = 60_000
    /// Off behind proxies that hand connections around and do not follow (`postgres.preparesStatements`).
    public var preparesStatements = true
    /// Entries that are committed together at the most (`postgres.batch.maxEntries`).
    public var maxBatchEntries = 100
    /// Milliseconds that a batch waits for more (`postgres.batch.maxDelayMs`).
    public var maxBatchDelayMilliseconds = 0
    /// Connections that write at the same time (`postgres.batch.connections`).
    public var batchConnections = 2
    /// Appends that wait for the database (`postgres.batch.maxWaiting`).
    public var maxWaitingAppends = 20_000
    /// Seconds after which a server that is not heard of has lost its sessions and runs (`postgres.leaseSeconds`).
    public var leaseSeconds = 15
    /// Milliseconds that one server waits for another to hand over an idle session (`postgres.handoverMs`).
    public var handoverMilliseconds = 1000
    /// Milliseconds that a read waits for the replica (`postgres.replicaWaitMs`).
    public var replicaWaitMilliseconds = 50
    /// Where contexts are kept for all servers (`redis.url`); nil for each server's memory alone.
    public var redisURL: String?
    /// Seconds that they are kept there (`cache.contextTtlSeconds`).
    public var contextSeconds = 300
    /// Milliseconds that a question to Redis may cost (`cache.redisTimeoutMs`).
    public var redisMilliseconds = 20
    /// Bytes of contexts in a server's memory (`cache.contextBytes`).
    public var contextBytes = 64 << 20
    /// A bucket for sessions that are not used (`archive.url`): `s3://bucket/prefix` or `file:///directory`; nil for none.
    public var archiveURL: String?
    /// Days without an entry after which they go there on their own (`archive.afterDays`); nil for never.
    public var archiveAfterDays: Int?
    /// What the environment says of the bucket, such as `AWS_ACCESS_KEY_ID`.
    public var archiveVariables: [String: String] = [:]
    /// Records of ended runs that are kept (`runs.recorded`).
    public var recordedRuns = 10_000
    /// Idempotency keys that are remembered (`http.idempotencyKeys`).
    public var idempotencyKeys = IdempotencyKey.defaultMaxCount
    /// Bytes of one line of a session (`sessions.maxLineBytes`).
    public var maxLineBytes = JSONLSettings().maxLineBytes
    /// A file by which this server is known again after a restart, so that it need not wait for what it held itself; nil for none.
    public var identityPath: String?
    /// This server's name, shown on runs.
    public var node: String

    public init(url: String) {
        self.url = url
        node = hostName()
    }

    /// Throws where the URL of Redis or of the archive is none.
    package func settings() throws -> PostgresSettings {
        var settings = PostgresSettings(url: url, node: node)
        settings.primary = server(url)
        settings.listening = server(listenURL ?? url)
        settings.replica = replicaURL.map(server)
        settings.pool.maxConnections = maxConnections
        settings.pool.idleSeconds = idleSeconds
        settings.pool.waitMilliseconds = waitMilliseconds
        settings.batch.maxEntries = maxBatchEntries
        settings.batch.maxDelayMilliseconds = maxBatchDelayMilliseconds
        settings.batch.connections = batchConnections
        settings.batch.maxWaiting = maxWaitingAppends
        settings.leaseSeconds = leaseSeconds
        settings.handoverMilliseconds = handoverMilliseconds
        settings.replicaWaitMilliseconds = replicaWaitMilliseconds
        settings.redis = try redisURL.map { url throws(RedisError) in try RedisConfiguration(url: url) }
        settings.archive = try archiveURL.map { url throws(ObjectError) in
            try OpenBucket(url: url, threads: BlockingThreads(count: 4)) { archiveVariables[$0] }
        }
        settings.archiveAfterDays = archiveAfterDays
        settings.identity = identityPath.flatMap { ProcessIdentity(path: $0) }
        settings.contextSeconds = contextSeconds
        settings.redisMilliseconds = redisMilliseconds
        settings.contextBytes = contextBytes
        settings.recordedRuns = recordedRuns
        settings.idempotencyKeys = idempotencyKeys
        settings.limits.maxLineBytes = maxLineBytes
        return settings
    }

    private func server(_ url: String) -> PostgresConfiguration {
        var server = PostgresConfiguration(url: url)
        server.connectTimeoutMilliseconds = connectTimeoutMilliseconds
        server.queryTimeoutMilliseconds = queryTimeoutMilliseconds
        server.preparesStatements = preparesStatements
        return server
    }
}
