package import TauCore

/// The generic cell rate algorithm (ITU-T I.371, in its virtual scheduling form): one number tells how much of a limit is used.
///
/// Each request is due one interval after the one before it. The number is when the next one is due; a request is admitted as long as
/// that lies less than a window ahead.
package enum CellRate {
    /// Decides at `now`, and moves `due` on where the request is admitted. Both are nanoseconds of one clock that never goes back.
    package static func decide(_ policy: RatePolicy, due: inout Int64, now: Int64) -> RateDecision {
        let window = Int64(policy.windowSeconds) * 1_000_000_000
        let interval = max(1, window / Int64(policy.requests))
        // All of a policy's intervals, which by rounding may be a little less than its window.
        let capacity = interval * Int64(policy.requests)
        let earliest = max(due, now)
        let isAdmitted = earliest + interval - now <= capacity
        if isAdmitted { due = earliest + interval } else { due = earliest }
        let used = due - now
        let wait = used + interval - capacity
        return RateDecision(
            isAdmitted: isAdmitted, remaining: Int((capacity - used) / interval), resetNanoseconds: used,
            retryNanoseconds: max(0, wait))
    }
}
