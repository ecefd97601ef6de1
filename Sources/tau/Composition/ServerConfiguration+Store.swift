internal import Configuration
internal import Glibc
internal import TauKit
internal import TauRuntime

extension ServerConfiguration {
    /// The names that S3's own clients use.
    private static let archiveVariables = [
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
    ]

    /// Takes what `store.kind` and `postgres.…` say.
    mutating func applyStore(_ settings: Settings) throws {
        guard let kind = try settings.choice("store.kind", ["jsonl", "postgres", "hybrid"]), kind != "jsonl" else {
            return
        }
        guard let url = try settings.secret("postgres.url") else {
            throw ConfigurationFailure(
                key: "postgres.url",
                problem: "is missing: say where the database is, as in TAU_POSTGRES_URL=postgres://user@host/database")
        }
        var tier = PostgresTier(url: url)
        tier.replicaURL = try settings.secret("postgres.replicaUrl")
        tier.listenURL = try settings.secret("postgres.listenUrl")
        tier.maxConnections = try settings.integer("postgres.pool.max", 1...10_000) ?? tier.maxConnections
        tier.idleSeconds = try settings.integer("postgres.pool.idleSeconds", 1...86_400) ?? tier.idleSeconds
        tier.waitMilliseconds = try settings.integer("postgres.pool.waitMs", 1...600_000) ?? tier.waitMilliseconds
        tier.connectTimeoutMilliseconds =
            try settings.integer("postgres.pool.connectTimeoutMs", 1...600_000) ?? tier.connectTimeoutMilliseconds
        tier.queryTimeoutMilliseconds =
            try settings.integer("postgres.queryTimeoutMs", 100...3_600_000) ?? tier.queryTimeoutMilliseconds
        tier.preparesStatements = try settings.boolean("postgres.preparesStatements") ?? tier.preparesStatements
        tier.maxBatchEntries = try settings.integer("postgres.batch.maxEntries", 1...10_000) ?? tier.maxBatchEntries
        tier.maxBatchDelayMilliseconds =
            try settings.integer("postgres.batch.maxDelayMs", 0...1000) ?? tier.maxBatchDelayMilliseconds
        tier.batchConnections = try settings.integer("postgres.batch.connections", 1...16) ?? tier.batchConnections
        tier.maxWaitingAppends =
            try settings.integer("postgres.batch.maxWaiting", 1...10_000_000) ?? tier.maxWaitingAppends
        tier.leaseSeconds = try settings.integer("postgres.leaseSeconds", 3...3600) ?? tier.leaseSeconds
        tier.handoverMilliseconds =
            try settings.integer("postgres.handoverMs", 0...60_000) ?? tier.handoverMilliseconds
        tier.replicaWaitMilliseconds =
            try settings.integer("postgres.replicaWaitMs", 0...60_000) ?? tier.replicaWaitMilliseconds
        tier.redisURL = try settings.secret("redis.url")
        tier.contextSeconds = try settings.integer("cache.contextTtlSeconds", 1...86_400) ?? tier.contextSeconds
        tier.redisMilliseconds = try settings.integer("cache.redisTimeoutMs", 1...60_000) ?? tier.redisMilliseconds
        tier.contextBytes = try settings.integer("cache.contextBytes", 0...(1 << 40)) ?? tier.contextBytes
        tier.archiveURL = settings.string("archive.url")
        let days = try settings.integer("archive.afterDays", 0...36_500) ?? 30
        if kind == "hybrid" {
            guard tier.archiveURL != nil else {
                throw ConfigurationFailure(
                    key: "archive.url",
                    problem: "is missing: say where old sessions go, as in s3://bucket/prefix or file:///srv/archive")
            }
            tier.archiveAfterDays = days
        }
        archiveAfterDays = days
        for name in Self.archiveVariables { tier.archiveVariables[name] = getenv(name).map { String(cString: $0) } }
        tier.recordedRuns = storage.recordedRuns
        tier.idempotencyKeys = storage.idempotencyKeys
        tier.maxLineBytes = runtime.maxLineBytes
        tier.identityPath = dataDirectory + "/server.id"
        postgres = tier
    }
}
