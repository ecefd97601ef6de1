internal import CTauSystem
internal import NIOConcurrencyHelpers
internal import Synchronization

/// A thread that lives as long as its owner and does one piece of work after another.
///
/// Children that it spawns may tie their lives to it (PR_SET_PDEATHSIG), and are born in its control group (version 1).
package final class WorkerThread: Sendable {
    private let work = Work()

    /// The kernel's number of the calling thread.
    package static var currentNumber: Int32 { tau_thread_id() }

    package init() throws(SystemError) {
        try SystemThread.start { [work] in work.doAll() }
    }

    deinit { work.give(nil) }

    /// Runs `body` on the thread and blocks the caller until it is done.
    package func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) -> Value {
        let result = Mutex<Value?>(nil)
        work.give { result.withLock { $0 = body() } }
        work.waitUntilDone()
        guard let value = result.withLock({ $0 }) else { preconditionFailure("the work has been done") }
        return value
    }

    private final class Work: Sendable {
        private enum State { case idle, given, done }

        private let state = ConditionLock(value: State.idle)
        private let next = Mutex<(@Sendable () -> Void)?>(nil)

        /// Waits for its turn if another caller is there. nil ends the thread.
        func give(_ body: (@Sendable () -> Void)?) {
            state.lock(whenValue: .idle)
            next.withLock { $0 = body }
            state.unlock(withValue: .given)
        }

        func waitUntilDone() {
            state.lock(whenValue: .done)
            state.unlock(withValue: .idle)
        }

        func doAll() {
            while true {
                state.lock(whenValue: .given)
                guard let body = next.withLock({ $0 }) else { return state.unlock() }
                body()
                state.unlock(withValue: .done)
            }
        }
    }
}
