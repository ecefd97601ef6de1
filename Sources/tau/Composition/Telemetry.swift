internal import CoreMetrics
internal import Logging
internal import ServiceLifecycle
internal import TauCore
internal import TauTelemetry
internal import Tracing

/// What measures and traces in this process. There is one at the most, and it stays to the end.
struct Telemetry: Sendable {
    /// Nil where nothing is measured.
    let metrics: MetricRegistry?
    /// Nil where nothing is traced.
    let spans: SpanQueue?

    /// Begins to measure and to trace. To be called once, before anything is at work: what was measured earlier is not kept.
    static func start(_ configuration: ServerConfiguration) -> Telemetry {
        var metrics: MetricRegistry?
        if configuration.telemetry.measures {
            let registry = MetricRegistry(maxSeries: configuration.telemetry.maxSeries)
            MetricsSystem.bootstrap(registry)
            Measurements.build.set(1, TauVersion.current)
            metrics = registry
        }
        var spans: SpanQueue?
        let traces = configuration.traces
        if traces.exporter != nil {
            let queue = SpanQueue(maxSpans: traces.maxSpans, batchSize: traces.batchSize)
            InstrumentationSystem.bootstrap(ServerTracer(queue: queue, sampler: traces.sampler))
            spans = queue
        }
        return Telemetry(metrics: metrics, spans: spans)
    }

    /// Sends the spans, to the end and a little longer: it must be stopped after all that makes some.
    func exporter(_ configuration: ServerConfiguration, logger: Logger) -> (any Service)? {
        guard let spans, let settings = configuration.traces.exporter else { return nil }
        return TraceService(queue: spans, exporter: TraceExporter(queue: spans, settings: settings, logger: logger))
    }
}

private struct TraceService: Service {
    let queue: SpanQueue
    let exporter: TraceExporter

    func run() async {
        await withGracefulShutdownHandler {
            await exporter.run()
        } onGracefulShutdown: {
            queue.close()
        }
    }
}
