import Glibc
import Synchronization
import TauCore
import TauRedis
import TauTestKit
import Testing

@testable import TauLimits

/// Limits that servers share, in a real Redis.
@Suite(.ownThreads, .timeLimit(.minutes(2))) struct RedisRateLimiterTests {
    /// One server's limiter. `patience` is what a question may cost; Redis is left out after the first failure.
    private struct Server {
        let client: RedisClient
        let limiter: RedisRateLimiter
        let pauses: Pauses

        final class Pauses: Sendable {
            private let errors = Mutex<[RedisError]>([])
            var count: Int { errors.withLock { $0.count } }
            func add(_ error: RedisError) { errors.withLock { $0.append(error) } }
        }

        init(_ redis: RedisServer, patience: Int = 10_000, pauseSeconds: Int = 1000) throws {
            client = RedisClient(try RedisConfiguration(url: redis.url()))
            var limits = OptionalRedis.Limits()
            limits.timeoutMilliseconds = patience
            limits.failures = 1
            limits.pauseSeconds = pauseSeconds
            let pauses = Pauses()
            self.pauses = pauses
            limiter = RedisRateLimiter(
                OptionalRedis(client, limits: limits) { pauses.add($0) },
                local: MemoryRateLimiter(maxSubjects: 1000) { 0 }, share: 0.5)
        }
    }

    /// Requests come back every 36 seconds: none does while a test runs.
    private static let policy = RatePolicy(name: "p", requests: 100, windowSeconds: 3600)

    private static func admitted(_ count: Int, of subject: String, by limiter: RedisRateLimiter) async -> Int {
        var admitted = 0
        for _ in 0..<count where await limiter.admit(subject, under: policy).isAdmitted { admitted += 1 }
        return admitted
    }

    @Test func `servers that share a Redis admit exactly what one would`() async throws {
        let redis = try RedisServer()
        let servers = try (0..<2).map { _ in try Server(redis) }
        let admitted = await withTaskGroup(of: Int.self) { group in
            for task in 0..<16 { group.addTask { await Self.admitted(20, of: "a", by: servers[task % 2].limiter) } }
            return await group.reduce(0, +)
        }
        #expect(admitted == 100)
        let refused = await servers[0].limiter.admit("a", under: Self.policy)
        #expect(!refused.isAdmitted && refused.remaining == 0)
        #expect((1...36_000_000_000).contains(refused.retryNanoseconds))
        let other = await servers[1].limiter.admit("b", under: Self.policy)
        #expect(other.isAdmitted && other.remaining == 99 && other.resetNanoseconds == 36_000_000_000)
        #expect(servers.allSatisfy { $0.pauses.count == 0 })
        // It goes by itself.
        let life = try await servers[0].client.command(
            [Array("PTTL".utf8), Array("rate:p:b".utf8)], milliseconds: 10_000)
        guard case .integer(let milliseconds) = life else { throw RedisError(.badReply, "no number") }
        #expect((1...36_000).contains(milliseconds))
        for server in servers { await server.client.close() }
    }

    @Test func `a script that Redis has forgotten, and values that are not ours, do no harm`() async throws {
        let redis = try RedisServer()
        let server = try Server(redis)
        #expect(await Self.admitted(60, of: "a", by: server.limiter) == 60)
        _ = try await server.client.command(
            [Array("SCRIPT".utf8), Array("FLUSH".utf8)], milliseconds: 10_000)
        #expect(await Self.admitted(60, of: "a", by: server.limiter) == 40)
        for value in ["nonsense", "-5", "1e300", "nan", ""] {
            try await server.client.set("rate:p:x", Array(value.utf8), seconds: 1000, milliseconds: 10_000)
            let decision = await server.limiter.admit("x", under: Self.policy)
            // From far in the future it comes back to one window.
            #expect(decision.isAdmitted == (value != "1e300"), "\(value)")
            #expect(decision.resetNanoseconds <= 3600 * 1_000_000_000, "\(value)")
        }
        #expect(server.pauses.count == 0)
        await server.client.close()
    }

    @Test func `without Redis each server admits its share, and goes back to it`() async throws {
        let redis = try RedisServer()
        let server = try Server(redis, patience: 50, pauseSeconds: 0)
        try await server.client.ping(milliseconds: 10_000)
        redis.send(SIGSTOP)
        #expect(await Self.admitted(60, of: "a", by: server.limiter) == 50)
        redis.send(SIGCONT)
        redis.kill()
        #expect(await !server.limiter.admit("a", under: Self.policy).isAdmitted)
        #expect(server.pauses.count > 0)
        try redis.restart()
        var isBack = false
        while !isBack { isBack = await server.limiter.admit("a", under: Self.policy).remaining > 50 }
        await server.client.close()
    }
}
