internal import CoreMetrics
internal import TauCore
internal import TauTelemetry

/// What it costs to read the metrics.
struct TelemetryBench {
    /// A page of ten thousand series.
    func page() throws -> [Figure] {
        let count = 10_000
        let registry = MetricRegistry(maxSeries: count)
        for number in 0..<count {
            registry.makeCounter(
                label: Measurements.requests.measurement.name,
                dimensions: [("method", "GET"), ("route", "/route/\(number)"), ("status", "200")]
            ).increment(by: 1)
        }
        let clock = ContinuousClock()
        let times = (0..<20).map { _ in
            let start = clock.now
            _ = MetricText.render(registry, process: ProcessMetrics.read(), as: .prometheus)
            return (clock.now - start).milliseconds
        }
        return [Figure("/metrics with 10,000 series, p50", Timings(times).percentile(0.5), "ms", atMost: 20)]
    }
}
