internal import CoreMetrics
internal import Synchronization

/// One series: a number, and for a histogram also how many values lay up to each bound.
final class MetricSeries: CounterHandler, FloatingPointCounterHandler, MeterHandler, RecorderHandler, TimerHandler {
    let labels: [String]
    private let bounds: [Double]
    private let state: Mutex<State>

    struct State: Sendable {
        /// Of a histogram, the sum of all values.
        var value = 0.0
        var count = 0
        /// Values up to each bound that are above the one before.
        var buckets: [Int]
    }

    init(labels: [String], bounds: [Double]) {
        self.labels = labels
        self.bounds = bounds
        state = Mutex(State(buckets: Array(repeating: 0, count: bounds.count)))
    }

    var current: State { state.withLock { $0 } }

    // MARK: Counters and gauges

    func increment(by amount: Int64) { increment(by: Double(amount)) }

    func increment(by amount: Double) {
        state.withLock { state in
            state.value += amount
            state.count += 1
        }
    }

    func decrement(by amount: Double) { increment(by: -amount) }
    func set(_ value: Int64) { set(Double(value)) }

    func set(_ value: Double) {
        state.withLock { state in
            state.value = value
            state.count += 1
        }
    }

    func reset() { state.withLock { $0 = State(buckets: Array(repeating: 0, count: bounds.count)) } }

    // MARK: Histograms

    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        guard value.isFinite else { return }
        let bucket = bounds.firstIndex { value <= $0 }
        state.withLock { state in
            state.value += value
            state.count += 1
            if let bucket { state.buckets[bucket] += 1 }
        }
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) * 1e-9) }
}
