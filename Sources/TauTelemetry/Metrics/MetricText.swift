internal import TauCore

/// What Prometheus reads: its text format 0.0.4, or OpenMetrics 1.0 for a reader that prefers it.
/// <https://prometheus.io/docs/instrumenting/exposition_formats/>, <https://prometheus.io/docs/specs/om/open_metrics_spec/>
package struct MetricText: Sendable {
    package enum Format: Sendable {
        case prometheus, openMetrics

        /// What a reader asks for in `Accept`.
        package init(accept: String?) {
            self = accept?.contains("application/openmetrics-text") == true ? .openMetrics : .prometheus
        }

        package var contentType: String {
            switch self {
            case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
            case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }
    }

    private let format: Format
    private var bytes: [UInt8] = []

    private init(_ format: Format) { self.format = format }

    /// The registry's series and further ones, each a value without labels.
    package static func render(
        _ registry: MetricRegistry, process: [ProcessMetrics.Value], as format: Format
    ) -> [UInt8] {
        var text = MetricText(format)
        text.bytes.reserveCapacity(64 << 10)
        for (measurement, series) in registry.snapshot() where !series.isEmpty {
            text.family(measurement.name, measurement.help, measurement.kind)
            for series in series {
                switch measurement.kind {
                case .counter, .gauge:
                    text.sample(measurement.name, measurement.labels, series.labels, series.current.value)
                case .histogram(let bounds): text.histogram(measurement, bounds, series)
                }
            }
        }
        for value in process {
            text.family(value.name, value.help, value.isCounter ? .counter : .gauge)
            text.sample(value.name, [], [], value.value)
        }
        if format == .openMetrics { text.add("# EOF\n") }
        return text.bytes
    }

    private mutating func add(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func family(_ name: String, _ help: String, _ kind: Measurement.Kind) {
        // OpenMetrics names a counter without the ending of its samples.
        let isCounter = kind == .counter
        let name = isCounter && format == .openMetrics && name.hasSuffix("_total") ? String(name.dropLast(6)) : name
        let type =
            switch kind {
            case .counter: "counter"
            case .gauge: "gauge"
            case .histogram: "histogram"
            }
        add("# HELP \(name) \(help)\n# TYPE \(name) \(type)\n")
    }

    private mutating func histogram(_ measurement: Measurement, _ bounds: [Double], _ series: MetricSeries) {
        let state = series.current
        let labels = measurement.labels + ["le"]
        var count = 0
        for (bound, bucket) in zip(bounds, state.buckets) {
            count += bucket
            sample(measurement.name + "_bucket", labels, series.labels + ["\(bound)"], Double(count))
        }
        sample(measurement.name + "_bucket", labels, series.labels + ["+Inf"], Double(state.count))
        sample(measurement.name + "_sum", measurement.labels, series.labels, state.value)
        sample(measurement.name + "_count", measurement.labels, series.labels, Double(state.count))
    }

    private mutating func sample(_ name: String, _ labels: [String], _ values: [String], _ value: Double) {
        add(name)
        if !labels.isEmpty {
            add("{")
            for (index, (label, value)) in zip(labels, values).enumerated() {
                add(index == 0 ? "\(label)=\"" : ",\(label)=\"")
                escape(value)
                add("\"")
            }
            add("}")
        }
        add(" ")
        add(number(value))
        add("\n")
    }

    private mutating func escape(_ value: String) {
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): add("\\\\")
            case UInt8(ascii: "\""): add("\\\"")
            case UInt8(ascii: "\n"): add("\\n")
            default: bytes.append(byte)
            }
        }
    }

    /// Whole numbers without a point.
    private func number(_ value: Double) -> String {
        if let whole = Int64(exactly: value), abs(whole) < 1 << 53 { return "\(whole)" }
        return "\(value)"
    }
}
