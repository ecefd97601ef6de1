internal import Logging
internal import TauCore
internal import TauRedis

/// Contexts in Redis, for all servers together: `context:SESSION:LEAF`, for a while. What belongs to a session stands in the set
/// `contexts:SESSION`.
///
/// It may cost so many milliseconds and no more, and is left out for a while when it fails.
final class RedisContexts: ContextStore {
    struct Limits: Sendable {
        /// Seconds that a context is kept.
        var keepSeconds = 300
        /// Bytes of one context; a larger one is not kept.
        var maxBytes = 16 << 20
        var redis = OptionalRedis.Limits()
    }

    private let redis: OptionalRedis
    private let limits: Limits
    private let logger: Logger

    init(_ client: RedisClient, limits: Limits, logger: Logger) {
        self.limits = limits
        self.logger = logger
        redis = OptionalRedis(client, limits: limits.redis) { error in
            logger.warning(
                "Redis is left out for a while",
                metadata: ["seconds": "\(limits.redis.pauseSeconds)", "reason": "\(error)"])
        }
    }

    func context(of leaf: EntryID, in session: SessionID) async -> ModelContext? {
        let bytes = await tracedQuestion(to: "redis") {
            await redis.attempt { client, milliseconds throws(RedisError) in
                try await client.get(Self.key(leaf, session), milliseconds: milliseconds)
            }
        }
        guard let found = bytes ?? nil else { return nil }
        // Whatever else stands there is left alone.
        return ContextCode.decode(found, of: leaf, in: session)
    }

    func keep(_ context: ModelContext, of leaf: EntryID, in session: SessionID) async {
        let bytes = ContextCode.encode(context, of: leaf, in: session)
        guard bytes.count <= limits.maxBytes else { return }
        _ = await redis.attempt { client, milliseconds throws(RedisError) in
            // The set first, so that nothing is kept that it does not name.
            let set = Array(Self.set(session).utf8)
            _ = try await client.command(
                [Array("SADD".utf8), set, Array(Self.key(leaf, session).utf8)], milliseconds: milliseconds)
            _ = try await client.command(
                [Array("EXPIRE".utf8), set, Array("\(2 * limits.keepSeconds)".utf8)], milliseconds: milliseconds)
            try await client.set(
                Self.key(leaf, session), bytes, seconds: limits.keepSeconds, milliseconds: milliseconds)
        }
    }

    func forget(_ session: SessionID) async {
        let isDone: Void? = await redis.attempt { client, milliseconds throws(RedisError) in
            // Nobody waits for it.
            let milliseconds = 10 * milliseconds
            let reply = try await client.command(
                [Array("SMEMBERS".utf8), Array(Self.set(session).utf8)], milliseconds: milliseconds)
            guard case .array(let keys) = reply else { return }
            let names = keys.compactMap { key -> String? in
                if case .bytes(let bytes) = key { String(decoding: bytes, as: UTF8.self) } else { nil }
            }
            try await client.delete(names + [Self.set(session)], milliseconds: milliseconds)
        }
        guard isDone == nil else { return }
        logger.warning(
            "contexts of a deleted session stay in Redis until their time is over",
            metadata: ["session_id": "\(session)", "seconds": "\(limits.keepSeconds)"])
    }

    private static func key(_ leaf: EntryID, _ session: SessionID) -> String { "context:\(session):\(leaf)" }
    private static func set(_ session: SessionID) -> String { "contexts:\(session)" }
}
