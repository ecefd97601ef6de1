public import ServiceContextModule

/// Which span of which trace something belongs to, as the header `traceparent` tells it from one process to the next
/// (<https://www.w3.org/TR/trace-context/>).
public struct TraceIdentity: Hashable, Sendable {
    /// The sixteen bytes of the trace's id, the first eight in `high`.
    public var high: UInt64
    public var low: UInt64
    public var spanID: UInt64
    /// Whether the trace is recorded.
    public var isSampled: Bool
    /// `tracestate`, which is only passed on.
    public var state: String?

    public init(high: UInt64, low: UInt64, spanID: UInt64, isSampled: Bool, state: String? = nil) {
        self.high = high
        self.low = low
        self.spanID = spanID
        self.isSampled = isSampled
        self.state = state
    }

    /// Of a `traceparent`; nil for one that is not valid.
    public init?(traceparent: String) {
        let bytes = Array(traceparent.utf8)
        // `00-<32 digits>-<16 digits>-<2 digits>`; later versions may have more behind.
        guard bytes.count == 55 || (bytes.count > 55 && bytes[55] == UInt8(ascii: "-")),
            [2, 35, 52].allSatisfy({ bytes[$0] == UInt8(ascii: "-") }),
            let version = Self.number(bytes[0..<2]), version != 0xFF, version != 0 || bytes.count == 55,
            let high = Self.number(bytes[3..<19]), let low = Self.number(bytes[19..<35]),
            let span = Self.number(bytes[36..<52]), let flags = Self.number(bytes[53..<55]),
            high | low != 0, span != 0
        else { return nil }
        self.init(high: high, low: low, spanID: span, isSampled: flags & 1 == 1)
    }

    public var traceparent: String { "00-\(traceText)-\(spanText)-\(isSampled ? "01" : "00")" }

    /// 32 hexadecimal digits.
    public var traceText: String { Self.text(high) + Self.text(low) }
    /// 16 hexadecimal digits.
    public var spanText: String { Self.text(spanID) }

    private static func text(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Small hexadecimal digits only.
    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        var number: UInt64 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): number = number << 4 | UInt64(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): number = number << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return number
    }
}

extension ServiceContext {
    private enum TraceKey: ServiceContextKey { typealias Value = TraceIdentity }
    private enum RequestKey: ServiceContextKey { typealias Value = String }

    /// The span under which things happen now.
    public var trace: TraceIdentity? {
        get { self[TraceKey.self] }
        set { self[TraceKey.self] = newValue }
    }

    /// The HTTP request for which things happen now.
    public var requestID: String? {
        get { self[RequestKey.self] }
        set { self[RequestKey.self] = newValue }
    }
}
