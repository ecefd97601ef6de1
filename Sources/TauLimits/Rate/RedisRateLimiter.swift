internal import Crypto
package import TauCore
package import TauRedis

/// Limits of all servers together, kept in Redis under `rate:POLICY:SUBJECT`, by the time of its clock alone.
///
/// While Redis does not answer, each server admits its share by itself.
package final class RedisRateLimiter: RateLimiter {
    private let redis: OptionalRedis
    private let local: MemoryRateLimiter
    /// The part of each policy that this server admits without Redis.
    private let share: Double

    package init(_ redis: OptionalRedis, local: MemoryRateLimiter, share: Double) {
        self.redis = redis
        self.local = local
        self.share = share
    }

    package func admit(_ subject: String, under policy: RatePolicy) async -> RateDecision {
        if let decision = await ask(subject, policy) { return decision }
        return await local.admit(subject, under: policy.share(share))
    }

    private func ask(_ subject: String, _ policy: RatePolicy) async -> RateDecision? {
        let arguments = ["1", "rate:\(policy.name):\(subject)", "\(policy.requests)", "\(policy.windowSeconds)"]
        let reply = await tracedQuestion(to: "redis") {
            await redis.attempt { client, milliseconds throws(RedisError) in
                do throws(RedisError) {
                    return try await client.command(
                        Self.words(["EVALSHA", Self.digest] + arguments), milliseconds: milliseconds)
                } catch {
                    // It has been started anew.
                    guard error.code == .refused("NOSCRIPT") else { throw error }
                    return try await client.command(
                        Self.words(["EVAL", Self.script] + arguments), milliseconds: milliseconds)
                }
            }
        }
        guard case .array(let values)? = reply, values.count == 4 else { return nil }
        let numbers = values.compactMap { if case .integer(let number) = $0 { number } else { nil } }
        guard numbers.count == 4, numbers.allSatisfy({ (0...Self.largest).contains($0) }) else { return nil }
        return RateDecision(
            isAdmitted: numbers[0] == 1, remaining: Int(numbers[1]), resetNanoseconds: numbers[2] * 1000,
            retryNanoseconds: numbers[3] * 1000)
    }

    /// What Lua's numbers hold exactly.
    private static let largest: Int64 = 1 << 53

    private static func words(_ words: [String]) -> [[UInt8]] { words.map { Array($0.utf8) } }

    /// `CellRate.decide` in microseconds, which Lua's numbers hold exactly; what nobody asks for any more goes by itself.
    private static let script = """
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local requests, window = tonumber(ARGV[1]), ARGV[2] * 1000000
        local interval = math.max(1, math.floor(window / requests))
        local capacity = interval * requests
        local found = tonumber(redis.call('GET', KEYS[1]) or '')
        -- Nothing, what is no number, or a time that has passed.
        local earliest = found and found > now and math.min(found, now + capacity) or now
        local admitted = earliest + interval - now <= capacity
        local due = earliest
        if admitted then
            due = earliest + interval
            redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000))
        end
        local used = due - now
        return {admitted and 1 or 0, math.floor((capacity - used) / interval), used,
            math.max(0, used + interval - capacity)}
        """

    private static let digest = Insecure.SHA1.hash(data: Array(script.utf8)).map { byte in
        let digits = Array("0123456789abcdef")
        return String([digits[Int(byte >> 4)], digits[Int(byte & 15)]])
    }.joined()
}
