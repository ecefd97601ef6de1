internal import TauCore
internal import Tracing

/// A batch of spans as the OpenTelemetry protocol has it: `ExportTraceServiceRequest`
/// (<https://github.com/open-telemetry/opentelemetry-proto>, `trace/v1/trace.proto`; JSON as its specification maps it).
struct TraceMessage {
    /// What all spans have in common: the service and where it runs.
    var resource: [(String, String)]
    var spans: [RecordedSpan]

    private static let scope = "tau"
    private static let usualSpanBytes = 512

    var protobuf: [UInt8] {
        var writer = ProtobufWriter(capacity: spans.count * Self.usualSpanBytes)
        writer.message(1) { writer in
            writer.message(1) { writer in
                for (name, value) in resource { writer.attribute(1, name, .string(value)) }
            }
            writer.message(2) { writer in
                writer.message(1) { $0.string(1, Self.scope) }
                for span in spans { span.read { span in writer.message(2) { $0.span(span) } } }
            }
        }
        return writer.bytes
    }

    var json: [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.key("resourceSpans")
            writer.array { writer in
                writer.object { writer in
                    writer.key("resource")
                    writer.object { writer in
                        writer.attributes(resource.map { ($0.0, .string($0.1)) })
                    }
                    writer.key("scopeSpans")
                    writer.array { writer in
                        writer.object { writer in
                            writer.key("scope")
                            writer.object { $0.member("name", Self.scope) }
                            writer.key("spans")
                            writer.array { writer in for span in spans { span.read { writer.span($0) } } }
                        }
                    }
                }
            }
        }
        return writer.bytes
    }
}

extension SpanRecord {
    fileprivate var kindNumber: Int {
        switch kind {
        case .internal: 1
        case .server: 2
        case .client: 3
        case .producer: 4
        case .consumer: 5
        }
    }
}

extension SpanAttributes {
    fileprivate var sorted: [(String, SpanAttribute)] {
        var all: [(String, SpanAttribute)] = []
        forEach { name, value in all.append((name, value)) }
        return all.sorted { $0.0 < $1.0 }
    }
}

extension SpanStatus {
    fileprivate var number: Int { code == .ok ? 1 : 2 }
}

/// A value as the protocol knows it.
private enum AttributeValue {
    case string(String)
    case integer(Int64)
    case double(Double)
    case bool(Bool)
    case array([AttributeValue])

    init(_ value: SpanAttribute) {
        switch value {
        case .int32(let number): self = .integer(Int64(number))
        case .int64(let number): self = .integer(number)
        case .double(let number): self = .double(number)
        case .bool(let value): self = .bool(value)
        case .int32Array(let numbers): self = .array(numbers.map { .integer(Int64($0)) })
        case .int64Array(let numbers): self = .array(numbers.map { .integer($0) })
        case .doubleArray(let numbers): self = .array(numbers.map { .double($0) })
        case .boolArray(let values): self = .array(values.map { .bool($0) })
        case .stringArray(let texts): self = .array(texts.map { .string(Redaction.redacted($0)) })
        case .string(let text): self = .string(Redaction.redacted(text))
        case .stringConvertible(let value): self = .string(Redaction.redacted(value.description))
        default: self = .string("")
        }
    }

    init(_ value: TraceAttribute.Value) {
        switch value {
        case .name(let name): self = .string(name)
        case .names(let names): self = .array(names.map { .string($0) })
        case .text(let text): self = .string(Redaction.redacted(text))
        case .integer(let number): self = .integer(Int64(number))
        }
    }
}

// MARK: Protobuf

extension ProtobufWriter {
    fileprivate mutating func span(_ span: SpanRecord) {
        identifier(1, span.identity.high, span.identity.low)
        identifier(2, span.identity.spanID)
        if let state = span.identity.state { string(3, state) }
        if let parent = span.parentID { identifier(4, parent) }
        string(5, span.name)
        varint(6, UInt64(span.kindNumber))
        fixed64(7, span.start)
        fixed64(8, span.end)
        for kept in span.kept { attribute(9, kept.name, AttributeValue(kept.value)) }
        span.attributes.forEach { attribute(9, $0, AttributeValue($1)) }
        for event in span.events {
            message(11) { writer in
                writer.fixed64(1, event.nanosecondsSinceEpoch)
                writer.string(2, event.name)
                event.attributes.forEach { writer.attribute(3, $0, AttributeValue($1)) }
            }
        }
        varint(12, UInt64(span.droppedEvents))
        for link in span.links {
            message(13) { writer in
                writer.identifier(1, link.high, link.low)
                writer.identifier(2, link.spanID)
            }
        }
        if let status = span.status {
            message(15) { writer in
                if let text = status.message { writer.string(2, Redaction.redacted(text)) }
                writer.varint(3, UInt64(status.number))
            }
        }
        fixed32(16, span.identity.isSampled ? 1 : 0)
    }

    fileprivate mutating func attribute(_ field: Int, _ name: String, _ value: AttributeValue) {
        message(field) { writer in
            writer.string(1, name)
            writer.message(2) { $0.value(value) }
        }
    }

    private mutating func value(_ value: AttributeValue) {
        switch value {
        case .string(let text): always(1, string: text)
        case .bool(let value): always(2, varint: value ? 1 : 0)
        case .integer(let number): always(3, varint: UInt64(bitPattern: number))
        case .double(let number): fixed64(4, number.bitPattern)
        case .array(let values):
            message(5) { writer in for value in values { writer.message(1) { $0.value(value) } } }
        }
    }
}

// MARK: JSON

extension JSONWriter {
    fileprivate mutating func span(_ span: SpanRecord) {
        object { writer in
            writer.member("traceId", span.identity.traceText)
            writer.member("spanId", span.identity.spanText)
            if let state = span.identity.state { writer.member("traceState", state) }
            if let parent = span.parentID {
                writer.member(
                    "parentSpanId", TraceIdentity(high: 0, low: 0, spanID: parent, isSampled: true).spanText)
            }
            writer.member("name", span.name)
            writer.member("kind", span.kindNumber)
            writer.member("startTimeUnixNano", "\(span.start)")
            writer.member("endTimeUnixNano", "\(span.end)")
            writer.attributes(
                span.kept.map { ($0.name, AttributeValue($0.value)) }
                    + span.attributes.sorted.map { ($0.0, AttributeValue($0.1)) })
            writer.key("events")
            writer.array { writer in
                for event in span.events {
                    writer.object { writer in
                        writer.member("timeUnixNano", "\(event.nanosecondsSinceEpoch)")
                        writer.member("name", event.name)
                        writer.attributes(event.attributes.sorted.map { ($0.0, AttributeValue($0.1)) })
                    }
                }
            }
            if !span.links.isEmpty {
                writer.key("links")
                writer.array { writer in
                    for link in span.links {
                        writer.object { writer in
                            writer.member("traceId", link.traceText)
                            writer.member("spanId", link.spanText)
                        }
                    }
                }
            }
            if let status = span.status {
                writer.key("status")
                writer.object { writer in
                    if let text = status.message { writer.member("message", Redaction.redacted(text)) }
                    writer.member("code", status.number)
                }
            }
        }
    }

    fileprivate mutating func attributes(_ attributes: [(String, AttributeValue)]) {
        key("attributes")
        array { writer in
            for (name, value) in attributes {
                writer.object { writer in
                    writer.member("key", name)
                    writer.key("value")
                    writer.value(value)
                }
            }
        }
    }

    private mutating func value(_ value: AttributeValue) {
        object { writer in
            switch value {
            case .string(let text): writer.member("stringValue", text)
            case .bool(let value): writer.member("boolValue", value)
            // Numbers of 64 bits are texts in the JSON of Protocol Buffers.
            case .integer(let number): writer.member("intValue", "\(number)")
            case .double(let number):
                writer.key("doubleValue")
                writer.double(number)
            case .array(let values):
                writer.key("arrayValue")
                writer.object { writer in
                    writer.key("values")
                    writer.array { writer in for value in values { writer.value(value) } }
                }
            }
        }
    }
}
