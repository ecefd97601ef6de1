internal import Dispatch
internal import NIOPosix

/// Threads for calls that block (fsync, file reads, waiting for a child), so that no thread of Swift's own pool ever waits.
///
/// Work is taken in order; at most `count` calls run at once.
package final class BlockingThreads: Sendable {
    private let pool: NIOThreadPool

    /// Starts `count` threads.
    package init(count: Int) {
        pool = NIOThreadPool(numberOfThreads: count)
        pool.start()
    }

    /// Runs `body` on one of the threads and waits for it without blocking the caller's thread.
    ///
    /// A cancelled caller still waits: a write that has begun is always finished.
    package func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            submit { continuation.resume(returning: body()) }
        }
    }

    /// The same for work that can fail.
    package func run<Value: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let result: Result<Value, Failure> = await run { Result { () throws(Failure) in try body() } }
        return try result.get()
    }

    /// Hands work over without waiting for it.
    package func submit(_ body: @escaping @Sendable () -> Void) {
        // A pool that was stopped would drop the work; this one is never stopped while its owner lives.
        pool.submit { _ in body() }
    }

    deinit {
        // The last owner may be one of these threads, which cannot wait for itself.
        pool.shutdownGracefully(queue: .global()) { _ in }
    }
}
