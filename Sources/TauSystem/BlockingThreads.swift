internal import Dispatch
internal import NIOPosix
internal import Synchronization

/// Threads for calls that block (fsync, file reads, waiting for a child), so that no thread of Swift's own pool ever waits.
///
/// Work is taken in order; at most `count` calls run at once.
package final class BlockingThreads: Sendable {
    private let pool: NIOThreadPool
    private let size: Int

    /// Starts `count` threads.
    package init(count: Int) {
        size = count
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

extension BlockingThreads {
    /// Runs `body` for each number below `count`, on the calling thread and beside it on idle ones; returns what was not nil.
    /// Blocks: to be called on one of the threads.
    package func concurrently<Value: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (Int) -> Value?
    ) -> [Value] {
        let share = Share<Value>(count: count)
        for _ in 1..<max(1, min(count, size)) { submit { share.work(body) } }
        share.work(body)
        return share.waitForAll()
    }

    /// Work that several threads take pieces of. Who takes the last piece need not be who finishes last.
    private final class Share<Value: Sendable>: Sendable {
        private struct State {
            var next = 0
            var values: [Value] = []
        }

        private let count: Int
        private let state: Mutex<State>
        private let unfinished = DispatchGroup()

        init(count: Int) {
            self.count = count
            for _ in 0..<count { unfinished.enter() }
            state = Mutex(State())
        }

        func work(_ body: (Int) -> Value?) {
            while true {
                let index = state.withLock { state in
                    defer { state.next += 1 }
                    return state.next
                }
                guard index < count else { return }
                let value = body(index)
                if let value { state.withLock { $0.values.append(value) } }
                unfinished.leave()
            }
        }

        func waitForAll() -> [Value] {
            unfinished.wait()
            return state.withLock { $0.values }
        }
    }
}
