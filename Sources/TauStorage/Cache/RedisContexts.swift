internal import Logging
internal import Synchronization
internal import TauCore
internal import TauRedis
internal import TauSystem

/// Contexts in Redis, for all servers together: `context:SESSION:LEAF`, for a while. What belongs to a session stands in the set
/// `contexts:SESSION`.
///
/// It may cost so many milliseconds and no more. After some failures in a row it is left out for a while.
final class RedisContexts: ContextStore {
    struct Limits: Sendable {
        /// Seconds that a context is kept.
        var keepSeconds = 300
        /// Milliseconds that one command may take.
        var timeoutMilliseconds = 20
        /// Bytes of one context; a larger one is not kept.
        var maxBytes = 16 << 20
        /// Failures in a row after which Redis is left out, and for how long.
        var failures = 3
        var pauseSeconds = 5
    }

    private let client: RedisClient
    private let limits: Limits
    private let logger: Logger
    private let circuit = Mutex((failures: 0, pausedUntil: 0))

    init(_ client: RedisClient, limits: Limits, logger: Logger) {
        self.client = client
        self.limits = limits
        self.logger = logger
    }

    func context(of leaf: EntryID, in session: SessionID) async -> ModelContext? {
        let bytes = await attempt { () throws(RedisError) in
            try await client.get(Self.key(leaf, session), milliseconds: limits.timeoutMilliseconds)
        }
        guard let found = bytes ?? nil else { return nil }
        // Whatever else stands there is left alone.
        return ContextCode.decode(found, of: leaf, in: session)
    }

    func keep(_ context: ModelContext, of leaf: EntryID, in session: SessionID) async {
        let bytes = ContextCode.encode(context, of: leaf, in: session)
        guard bytes.count <= limits.maxBytes else { return }
        _ = await attempt { () throws(RedisError) in
            // The set first, so that nothing is kept that it does not name.
            let set = Array(Self.set(session).utf8)
            let milliseconds = limits.timeoutMilliseconds
            _ = try await client.command(
                [Array("SADD".utf8), set, Array(Self.key(leaf, session).utf8)], milliseconds: milliseconds)
            _ = try await client.command(
                [Array("EXPIRE".utf8), set, Array("\(2 * limits.keepSeconds)".utf8)], milliseconds: milliseconds)
            try await client.set(
                Self.key(leaf, session), bytes, seconds: limits.keepSeconds, milliseconds: milliseconds)
        }
    }

    func forget(_ session: SessionID) async {
        let isDone: Void? = await attempt { () throws(RedisError) in
            let milliseconds = 10 * limits.timeoutMilliseconds
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
            metadata: ["session": "\(session)", "seconds": "\(limits.keepSeconds)"])
    }

    private static func key(_ leaf: EntryID, _ session: SessionID) -> String { "context:\(session):\(leaf)" }
    private static func set(_ session: SessionID) -> String { "contexts:\(session)" }

    /// Nil where Redis is left out or has failed.
    private func attempt<Value>(_ body: () async throws(RedisError) -> Value) async -> Value? {
        guard circuit.withLock({ $0.pausedUntil <= monotonicMilliseconds() }) else { return nil }
        do throws(RedisError) {
            let value = try await body()
            circuit.withLock { $0.failures = 0 }
            return value
        } catch {
            guard error.code != .cancelled else { return nil }
            let isPaused = circuit.withLock { circuit in
                circuit.failures += 1
                guard circuit.failures >= limits.failures else { return false }
                circuit = (0, monotonicMilliseconds() + limits.pauseSeconds * 1000)
                return true
            }
            if isPaused {
                logger.warning(
                    "Redis is left out for a while",
                    metadata: ["seconds": "\(limits.pauseSeconds)", "reason": "\(error)"])
            }
            return nil
        }
    }
}
