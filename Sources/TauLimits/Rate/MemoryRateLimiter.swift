internal import Synchronization
package import TauCore

/// Limits of one process.
package final class MemoryRateLimiter: RateLimiter {
    private struct Key: Hashable {
        var subject: String
        var policy: String
    }

    private let maxSubjects: Int
    private let now: @Sendable () -> Int64
    private let due = Mutex<[Key: Int64]>([:])

    /// `now` answers nanoseconds of a clock that never goes back. Beyond `maxSubjects` those are forgotten that have asked least.
    package init(maxSubjects: Int, now: @escaping @Sendable () -> Int64) {
        self.maxSubjects = maxSubjects
        self.now = now
    }

    package func admit(_ subject: String, under policy: RatePolicy) async -> RateDecision {
        let key = Key(subject: subject, policy: policy.name)
        return due.withLock { due in
            // Within the lock, so that times come in their order.
            let now = now()
            var next = due[key]
            if next == nil, due.count >= maxSubjects { Self.forget(&due, now) }
            var moved = next ?? now
            let decision = CellRate.decide(policy, due: &moved, now: now)
            next = moved
            due[key] = next
            return decision
        }
    }

    /// Subjects that are remembered.
    package var count: Int { due.withLock { $0.count } }

    /// Everybody who has all requests again, and at least every tenth, those first who have the most.
    private static func forget(_ due: inout [Key: Int64], _ now: Int64) {
        let count = due.count
        due = due.filter { $0.value > now }
        guard due.count > count * 9 / 10 else { return }
        let border = due.values.sorted()[due.count / 10]
        due = due.filter { $0.value > border }
    }
}
