import Synchronization
import TauCore
import TauTestKit
import Testing

@testable import TauLimits

@Suite struct RateLimiterTests {
    private static let second: Int64 = 1_000_000_000

    /// A clock that a test sets.
    private final class TestClock: Sendable {
        private let time = Mutex<Int64>(0)
        var now: Int64 { time.withLock { $0 } }
        func advance(_ nanoseconds: Int64) { time.withLock { $0 += nanoseconds } }
    }

    @Test func `requests may come at once, and come back one by one`() async {
        let clock = TestClock()
        let limiter = MemoryRateLimiter(maxSubjects: 100) { clock.now }
        let policy = RatePolicy(name: "p", requests: 3, windowSeconds: 3)
        for left in [2, 1, 0] {
            let decision = await limiter.admit("a", under: policy)
            #expect(decision.isAdmitted && decision.remaining == left)
            #expect(decision.resetNanoseconds == Int64(3 - left) * Self.second)
        }
        let refused = await limiter.admit("a", under: policy)
        #expect(!refused.isAdmitted && refused.remaining == 0 && refused.retryNanoseconds == Self.second)
        #expect(await limiter.admit("b", under: policy).isAdmitted)
        #expect(await limiter.admit("a", under: RatePolicy(name: "q", requests: 1, windowSeconds: 3)).isAdmitted)
        clock.advance(Self.second - 1)
        #expect(await limiter.admit("a", under: policy).retryNanoseconds == 1)
        clock.advance(1)
        #expect(await limiter.admit("a", under: policy).isAdmitted)
        #expect(await !limiter.admit("a", under: policy).isAdmitted)
        clock.advance(1000 * Self.second)
        #expect(await limiter.admit("a", under: policy).remaining == 2)
    }

    @Test(arguments: 0..<20)
    func `it is a bucket that fills up steadily`(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let requests = Int.random(in: 1...50, using: &generator)
        let policy = RatePolicy(
            name: "p", requests: requests, windowSeconds: Int.random(in: 1...100, using: &generator))
        let interval = Int64(policy.windowSeconds) * Self.second / Int64(requests)
        var due: Int64 = 0
        var now: Int64 = 1000 * Self.second
        // In units of nanoseconds of an interval, so that nothing is rounded.
        let capacity = interval * Int64(requests)
        var level = capacity
        for _ in 0..<5000 {
            let pause =
                Int64.random(in: 0...(3 * interval), using: &generator) / Int64.random(in: 1...4, using: &generator)
            now += pause
            level = min(capacity, level + pause)
            let expected = level >= interval
            let wait = max(0, interval - level)
            let decision = CellRate.decide(policy, due: &due, now: now)
            #expect(decision.isAdmitted == expected)
            if expected { level -= interval } else { #expect(decision.retryNanoseconds == wait) }
            #expect(decision.remaining == Int(level / interval))
            #expect(decision.resetNanoseconds == capacity - level)
        }
    }

    @Test func `many at once get exactly what is allowed`() async {
        let limiter = MemoryRateLimiter(maxSubjects: 100) { 5 }
        let policy = RatePolicy(name: "p", requests: 137, windowSeconds: 60)
        let admitted = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var count = 0
                    for _ in 0..<200 where await limiter.admit("a", under: policy).isAdmitted { count += 1 }
                    return count
                }
            }
            return await group.reduce(0, +)
        }
        #expect(admitted == 137)
    }

    @Test func `memory has a bound, and who has used up the limit is not forgotten for it`() async {
        let clock = TestClock()
        let limiter = MemoryRateLimiter(maxSubjects: 1000) { clock.now }
        let policy = RatePolicy(name: "p", requests: 5, windowSeconds: 60)
        for _ in 0..<5 { _ = await limiter.admit("greedy", under: policy) }
        for number in 0..<20_000 {
            clock.advance(1000)
            _ = await limiter.admit("\(number)", under: policy)
            #expect(limiter.count <= 1000)
        }
        #expect(await !limiter.admit("greedy", under: policy).isAdmitted)
    }

    @Test func `a share allows at least one request`() {
        let policy = RatePolicy(name: "p", requests: 10, windowSeconds: 60)
        #expect(policy.share(0.5).requests == 5)
        #expect(policy.share(0.01).requests == 1)
    }
}
