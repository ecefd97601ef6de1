internal import CTauSystem
internal import Dispatch
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

    /// Runs `body` on the thread and blocks the caller until it is done. One caller at a time.
    package func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) -> Value {
        let result = Mutex<Value?>(nil)
        work.give { result.withLock { $0 = body() } }
        work.finished.wait()
        guard let value = result.withLock({ $0 }) else { preconditionFailure("the work has been done") }
        return value
    }

    private final class Work: Sendable {
        let finished = DispatchSemaphore(value: 0)
        private let given = DispatchSemaphore(value: 0)
        private let next = Mutex<(@Sendable () -> Void)?>(nil)

        func give(_ body: (@Sendable () -> Void)?) {
            next.withLock { $0 = body }
            given.signal()
        }

        func doAll() {
            while true {
                given.wait()
                guard let body = next.withLock({ $0 }) else { return }
                body()
                finished.signal()
            }
        }
    }
}
