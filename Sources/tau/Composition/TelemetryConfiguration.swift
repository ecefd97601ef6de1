internal import Configuration
internal import TauCore
internal import TauHTTP
internal import TauKit
internal import TauLimits
internal import TauSystem
internal import TauTelemetry

/// What the server tells of itself (`metrics.…`).
struct TelemetryConfiguration: Sendable {
    /// Whether anything is measured (`metrics.enabled`).
    var measures = true
    /// A key that reads the metrics and nothing else (`metrics.key`).
    var metricsKey: String?
    /// Whether nobody needs a key for the metrics (`metrics.public`).
    var areMetricsPublic = false
    /// Series of one metric (`metrics.maxSeries`).
    var maxSeries = 1000

    mutating func apply(_ settings: Settings) throws {
        measures = try settings.boolean("metrics.enabled") ?? measures
        metricsKey = try settings.secret("metrics.key")
        areMetricsPublic = try settings.boolean("metrics.public") ?? areMetricsPublic
        maxSeries = try settings.integer("metrics.maxSeries", 10...1_000_000) ?? maxSeries
    }

    /// What `/metrics` answers.
    func metricsPage(_ registry: MetricRegistry, of agent: Agent) -> MetricsPage {
        let threads = BlockingThreads(count: 1)
        return MetricsPage(isPublic: areMetricsPublic) { accept in
            await agent.noteMeasurements()
            let format = MetricText.Format(accept: accept)
            let bytes = await threads.run { MetricText.render(registry, process: ProcessMetrics.read(), as: format) }
            return (format.contentType, bytes)
        }
    }
}
