internal import NIOConcurrencyHelpers
internal import Synchronization

/// Wakes one thread that waits for work. A call that comes while the thread works is not lost.
package final class WakeSignal: Sendable {
    private let isSet = Atomic(false)
    /// Set by the thread before it looks a last time and sleeps: who sets the signal and sees it must wake the thread.
    private let isAsleep = Atomic(false)
    private let wakeUp = ConditionLock(value: false)

    package init() {}

    package func wake() {
        isSet.store(true, ordering: .sequentiallyConsistent)
        guard isAsleep.load(ordering: .sequentiallyConsistent) else { return }
        wakeUp.lock()
        wakeUp.unlock(withValue: true)
    }

    /// Blocks until `wake` has been called since the last return, at most for so long where a time is given.
    ///
    /// For so many microseconds it looks without sleeping: to be woken takes about as long as that.
    package func wait(milliseconds: Int? = nil, lookingMicroseconds: Int = 0) {
        if lookingMicroseconds > 0 {
            let end = ContinuousClock.now + .microseconds(lookingMicroseconds)
            repeat {
                for _ in 0..<32 where isSet.load(ordering: .relaxed) { return take() }
            } while ContinuousClock.now < end
        }
        isAsleep.store(true, ordering: .sequentiallyConsistent)
        defer { isAsleep.store(false, ordering: .sequentiallyConsistent) }
        guard !isSet.load(ordering: .sequentiallyConsistent) else { return take() }
        if let milliseconds {
            guard wakeUp.lock(whenValue: true, timeoutSeconds: Double(milliseconds) / 1000) else { return }
        } else {
            wakeUp.lock(whenValue: true)
        }
        wakeUp.unlock(withValue: false)
        take()
    }

    private func take() { isSet.store(false, ordering: .sequentiallyConsistent) }
}
