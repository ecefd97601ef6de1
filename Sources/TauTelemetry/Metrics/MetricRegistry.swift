package import CoreMetrics
internal import Synchronization
package import TauCore

/// The metrics of a process, as a backend of swift-metrics that Prometheus reads.
///
/// Each measurement has a bounded number of series: further label values are counted together as `other`. What swift-metrics is asked
/// for that is no measurement of Tau, as by libraries, is not kept.
package final class MetricRegistry: MetricsFactory {
    /// Series of one measurement (`metrics.maxSeries`).
    private let maxSeries: Int
    private let families: [String: MetricFamily]

    package init(_ measurements: [Measurement] = Measurements.all, maxSeries: Int = 1000) {
        self.maxSeries = maxSeries
        families = Dictionary(uniqueKeysWithValues: measurements.map { ($0.name, MetricFamily($0)) })
    }

    /// Series of all measurements, in the order of their names.
    func snapshot() -> [(measurement: Measurement, series: [MetricSeries])] {
        families.values.map { ($0.measurement, $0.all()) }.sorted { $0.measurement.name < $1.measurement.name }
    }

    private func series(_ name: String, _ dimensions: [(String, String)]) -> MetricSeries {
        // Whoever measures what nobody described measures for nobody.
        guard let family = families[name] else { return MetricSeries(labels: [], bounds: []) }
        return family.series(dimensions.map(\.1), maxSeries: maxSeries)
    }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        series(label, dimensions)
    }

    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        series(label, dimensions)
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        series(label, dimensions)
    }

    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        series(label, dimensions)
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        series(label, dimensions)
    }

    // Series stay: a counter that began anew would look like a restart.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}
}

/// The series of one measurement.
private final class MetricFamily: Sendable {
    let measurement: Measurement
    private let bounds: [Double]
    private let known = Mutex<[[String]: MetricSeries]>([:])

    init(_ measurement: Measurement) {
        self.measurement = measurement
        bounds = if case .histogram(let bounds) = measurement.kind { bounds } else { [] }
        // What has no labels is there from the beginning, as nothing.
        if measurement.labels.isEmpty { _ = series([], maxSeries: 1) }
    }

    func series(_ values: [String], maxSeries: Int) -> MetricSeries {
        known.withLock { known in
            if let series = known[values] { return series }
            let key = known.count < maxSeries ? values : values.map { _ in Measurements.other }
            if let series = known[key] { return series }
            let series = MetricSeries(labels: key, bounds: bounds)
            known[key] = series
            return series
        }
    }

    func all() -> [MetricSeries] {
        known.withLock { Array($0.values) }.sorted { $0.labels.lexicographicallyPrecedes($1.labels) }
    }
}
