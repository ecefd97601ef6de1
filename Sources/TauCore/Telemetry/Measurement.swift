internal import CoreMetrics
internal import Synchronization

/// One thing that is measured: its name, what it means, and which labels tell its series apart. Where it is measured it is given values;
/// a backend, where there is one, learns the rest from here.
///
/// Names and units follow the conventions of Prometheus: base units, `_total` behind counters.
public struct Measurement: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        /// Only grows.
        case counter
        case gauge
        /// Counts values up to each of the bounds, and all.
        case histogram(bounds: [Double])
    }

    public let name: String
    public let help: String
    public let kind: Kind
    public let labels: [String]

    fileprivate init(_ name: String, _ help: String, _ kind: Kind, _ labels: [String]) {
        self.name = name
        self.help = help
        self.kind = kind
        self.labels = labels
    }

    fileprivate func dimensions(_ values: [String]) -> [(String, String)] {
        assert(values.count == labels.count, "\(name) has the labels \(labels)")
        return Array(zip(labels, values))
    }
}

/// The handles of a measurement's series: a backend is asked for each once, not for every value.
private final class Handles<Handle: Sendable>: Sendable {
    /// Handles that are kept; backends bound their series themselves.
    private static var maxKept: Int { 1000 }
    private let known = Mutex<[[String]: Handle]>([:])

    func handle(_ values: [String], _ make: () -> Handle) -> Handle {
        if let handle = known.withLock({ $0[values] }) { return handle }
        let handle = make()
        // As long as there is no backend a handle counts nothing, and would go on to count nothing.
        guard !(MetricsSystem.factory is NOOPMetricsHandler) else { return handle }
        known.withLock { known in if known.count < Self.maxKept { known[values] = handle } }
        return handle
    }
}

/// How often something has happened, or how much of it there was.
public struct CounterMeasurement: Sendable {
    public let measurement: Measurement
    private let counters = Handles<Counter>()
    private let sums = Handles<FloatingPointCounter>()

    init(_ name: String, _ help: String, labels: String...) {
        measurement = Measurement(name, help, .counter, labels)
    }

    /// Adds to the series of these label values, in the order of the labels. Nothing negative.
    public func add(_ amount: Int = 1, _ values: String...) {
        counters.handle(values) {
            Counter(label: measurement.name, dimensions: measurement.dimensions(values))
        }.increment(by: amount)
    }

    /// The same for what is no whole number.
    public func add(_ amount: Double, _ values: String...) {
        sums.handle(values) {
            FloatingPointCounter(label: measurement.name, dimensions: measurement.dimensions(values))
        }.increment(by: amount)
    }
}

/// How much of something there is now.
public struct GaugeMeasurement: Sendable {
    public let measurement: Measurement
    private let meters = Handles<Meter>()

    init(_ name: String, _ help: String, labels: String...) {
        measurement = Measurement(name, help, .gauge, labels)
    }

    public func set(_ value: Int, _ values: String...) { meter(values).set(value) }

    public func set(_ value: Double, _ values: String...) { meter(values).set(value) }

    private func meter(_ values: [String]) -> Meter {
        meters.handle(values) { Meter(label: measurement.name, dimensions: measurement.dimensions(values)) }
    }
}

/// How long something took, in seconds, or how large it was.
public struct HistogramMeasurement: Sendable {
    public let measurement: Measurement
    private let recorders = Handles<Recorder>()

    init(_ name: String, _ help: String, bounds: [Double], labels: String...) {
        measurement = Measurement(name, help, .histogram(bounds: bounds), labels)
    }

    public func observe(_ value: Double, _ values: String...) { recorder(values).record(value) }

    /// A time since `start`, in seconds.
    public func observe(since start: ContinuousClock.Instant, _ values: String...) {
        recorder(values).record((ContinuousClock.now - start).seconds)
    }

    private func recorder(_ values: [String]) -> Recorder {
        recorders.handle(values) { Recorder(label: measurement.name, dimensions: measurement.dimensions(values)) }
    }
}

extension Duration {
    package var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
