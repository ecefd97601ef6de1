internal import Synchronization
internal import TauSystem

/// A Redis that may be away: a question costs so many milliseconds at the most, and after some failures in a row it is left out for a
/// while.
package final class OptionalRedis: Sendable {
    package struct Limits: Sendable {
        /// Milliseconds that one command may take.
        package var timeoutMilliseconds = 20
        /// Failures in a row after which Redis is left out, and for how long.
        package var failures = 3
        package var pauseSeconds = 5

        package init() {}
    }

    private let client: RedisClient
    private let limits: Limits
    private let onPause: @Sendable (RedisError) -> Void
    private let circuit = Mutex((failures: 0, pausedUntil: 0))

    /// `onPause` is told why, each time that Redis is left out.
    package init(_ client: RedisClient, limits: Limits, onPause: @escaping @Sendable (RedisError) -> Void) {
        self.client = client
        self.limits = limits
        self.onPause = onPause
    }

    /// What `body` answers, which is given the milliseconds that a command may take; nil where Redis is left out or has failed.
    package func attempt<Value: Sendable>(
        _ body: (RedisClient, _ milliseconds: Int) async throws(RedisError) -> Value
    ) async -> Value? {
        guard circuit.withLock({ $0.pausedUntil <= monotonicMilliseconds() }) else { return nil }
        do throws(RedisError) {
            let value = try await body(client, limits.timeoutMilliseconds)
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
            if isPaused { onPause(error) }
            return nil
        }
    }
}
