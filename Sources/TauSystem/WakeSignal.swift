internal import NIOConcurrencyHelpers

/// Wakes one thread that waits for work. A call that comes while the thread works is not lost.
package final class WakeSignal: Sendable {
    private let isSet = ConditionLock(value: false)

    package init() {}

    package func wake() {
        isSet.lock()
        isSet.unlock(withValue: true)
    }

    /// Blocks until `wake` has been called since the last return, at most for so long where a time is given.
    package func wait(milliseconds: Int? = nil) {
        if let milliseconds {
            guard isSet.lock(whenValue: true, timeoutSeconds: Double(milliseconds) / 1000) else { return }
        } else {
            isSet.lock(whenValue: true)
        }
        isSet.unlock(withValue: false)
    }
}
