internal import Configuration
internal import Glibc
internal import Logging
internal import TauCore
internal import TauHTTP
internal import TauSystem
internal import TauTelemetry

/// Where traces go, in the variables that all programs with OpenTelemetry share
/// (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>). Without an endpoint there are none.
struct TracesConfiguration: Sendable {
    var exporter: TraceExporterSettings?
    var sampler = TraceSampler()
    var maxSpans = 2048
    var batchSize = 512
    /// Whether spans tell what was said to models and by them.
    var hasContent = false

    mutating func apply(_ settings: Settings) throws {
        let isOff = settings.string("otel.sdk.disabled") == "true" || settings.string("otel.traces.exporter") == "none"
        guard !isOff, let url = try Self.url(settings) else { return }
        var exporter = TraceExporterSettings(url: url)
        let choices = TraceExporterSettings.Encoding.allCases.map(\.rawValue)
        let encoding =
            try settings.choice("otel.exporter.otlp.traces.protocol", choices)
            ?? settings.choice("otel.exporter.otlp.protocol", choices)
        if let encoding { exporter.encoding = .init(rawValue: encoding) ?? exporter.encoding }
        exporter.isCompressed =
            try settings.choice("otel.exporter.otlp.compression", ["gzip", "none"]).map { $0 == "gzip" }
            ?? exporter.isCompressed
        exporter.timeoutMilliseconds =
            try settings.integer("otel.exporter.otlp.timeout", 1...600_000) ?? exporter.timeoutMilliseconds
        exporter.delayMilliseconds =
            try settings.integer("otel.bsp.schedule.delay", 10...600_000) ?? exporter.delayMilliseconds
        exporter.headers = try Self.pairs(settings, "otel.exporter.otlp.headers")
        exporter.resource = try resource(settings)
        maxSpans = try settings.integer("otel.bsp.max.queue.size", 1...10_000_000) ?? maxSpans
        batchSize = try settings.integer("otel.bsp.max.export.batch.size", 1...100_000) ?? batchSize
        sampler = try Self.sampler(settings)
        hasContent = try settings.boolean("otel.instrumentation.genai.capture.message.content") ?? false
        self.exporter = exporter
    }

    private static func url(_ settings: Settings) throws -> String? {
        let own = settings.string("otel.exporter.otlp.traces.endpoint")
        guard var url = own ?? settings.string("otel.exporter.otlp.endpoint") else { return nil }
        guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
            throw ConfigurationFailure(
                key: "OTEL_EXPORTER_OTLP_ENDPOINT", problem: "must be an address such as http://127.0.0.1:4318")
        }
        if own != nil { return url }
        while url.last == "/" { url.removeLast() }
        return url + "/v1/traces"
    }

    /// `name=value,name=value`, with values that may be percent-encoded.
    private static func pairs(_ settings: Settings, _ key: ConfigKey) throws -> [(String, String)] {
        try (settings.string(key) ?? "").split(separator: ",").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, let value = parts[1].trimmed.percentDecoded else {
                // What stands there may be a secret.
                throw ConfigurationFailure(key: "\(key)", problem: "must be pairs such as name=value,other=value")
            }
            return (parts[0].trimmed, value)
        }
    }

    private func resource(_ settings: Settings) throws -> [(String, String)] {
        var resource = try Self.pairs(settings, "otel.resource.attributes")
        func set(_ name: String, _ value: String, isStronger: Bool) {
            let known = resource.firstIndex { $0.0 == name }
            if let known, isStronger { resource[known].1 = value }
            if known == nil { resource.append((name, value)) }
        }
        if let name = settings.string("otel.service.name") { set("service.name", name, isStronger: true) }
        set("service.name", "tau", isStronger: false)
        set("service.version", TauVersion.current, isStronger: false)
        set("service.instance.id", "\(hostName()):\(getpid())", isStronger: false)
        set("host.name", hostName(), isStronger: false)
        return resource
    }

    private static func sampler(_ settings: Settings) throws -> TraceSampler {
        let ratio = try settings.number("otel.traces.sampler.arg", 0...1) ?? 1
        let names = [
            "always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off",
            "parentbased_traceidratio",
        ]
        let name = try settings.choice("otel.traces.sampler", names) ?? "parentbased_always_on"
        let isParentBased = name.hasPrefix("parentbased_")
        if name.hasSuffix("always_off") { return TraceSampler(ratio: 0, followsParent: isParentBased) }
        return TraceSampler(ratio: name.hasSuffix("traceidratio") ? ratio : 1, followsParent: isParentBased)
    }
}

extension Substring {
    fileprivate var trimmed: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
