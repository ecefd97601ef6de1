internal import Configuration
internal import Logging
internal import TauCore
internal import TauHTTP
internal import TauLimits
internal import TauRedis

/// Who may ask how often (`limits.…`).
struct LimitsConfiguration: Sendable {
    /// Requests of one principal in a window; 0 for no limit.
    var requests = 100
    var windowSeconds = 60
    /// New runs and messages to runs of one principal in a window; 0 for no limit.
    var runs = 100
    /// Requests without a valid key of one address in a window; 0 for no limit.
    var failures = 10
    /// The part of a limit that each server admits while Redis is away.
    var localShare = 0.5
    /// Principals and addresses that are remembered.
    var maxSubjects = 100_000
    /// Milliseconds that a question to Redis may cost.
    var redisMilliseconds = 50
    /// What is remembered of keys.
    var keys = KeyAuthenticator.Limits()

    mutating func apply(_ settings: Settings) throws {
        requests = try settings.integer("limits.requests", 0...1_000_000_000) ?? requests
        windowSeconds = try settings.integer("limits.windowSeconds", 1...86_400) ?? windowSeconds
        runs = try settings.integer("limits.runs", 0...1_000_000_000) ?? requests
        failures = try settings.integer("limits.failures", 0...1_000_000_000) ?? failures
        localShare = try settings.number("limits.localShare", 0.001...1) ?? localShare
        maxSubjects = try settings.integer("limits.maxSubjects", 100...100_000_000) ?? maxSubjects
        keys.keepMilliseconds =
            try settings.integer("auth.keyCacheMs", 0...5000).map(Int64.init) ?? keys.keepMilliseconds
        keys.maxKeys = try settings.integer("auth.maxCachedKeys", 100...10_000_000) ?? keys.maxKeys
        redisMilliseconds = try settings.integer("limits.redisTimeoutMs", 1...60_000) ?? redisMilliseconds
    }

    /// The limits, counted in Redis for all servers together where there is one.
    func make(_ redis: RedisClient?, logger: Logger) -> RateLimits {
        let local = MemoryRateLimiter(maxSubjects: maxSubjects, now: Self.uptimeNanoseconds)
        var limits = RateLimits(limiter: local)
        if let redis {
            var patience = OptionalRedis.Limits()
            patience.timeoutMilliseconds = redisMilliseconds
            let optional = OptionalRedis(redis, limits: patience) { [patience] error in
                logger.warning(
                    "Redis does not answer: each server limits requests by itself for a while",
                    metadata: ["seconds": "\(patience.pauseSeconds)", "reason": "\(error)"])
            }
            limits.limiter = RedisRateLimiter(optional, local: local, share: localShare)
        }
        limits.requests = policy("default", requests)
        limits.runs = policy("runs", runs)
        limits.failures = policy("unauthenticated", failures)
        return limits
    }

    private static let start = ContinuousClock.now

    private static let uptimeNanoseconds: @Sendable () -> Int64 = {
        let time = ContinuousClock.now - start
        return time.components.seconds * 1_000_000_000 + time.components.attoseconds / 1_000_000_000
    }

    static let uptimeMilliseconds: @Sendable () -> Int64 = { uptimeNanoseconds() / 1_000_000 }

    private func policy(_ name: String, _ requests: Int) -> RatePolicy? {
        requests == 0 ? nil : RatePolicy(name: name, requests: requests, windowSeconds: windowSeconds)
    }
}
