/// Writes compact JSON the way JavaScript's `JSON.stringify` does: no spaces, non-ASCII as it is, numbers in their shortest form.
public struct JSONWriter: Sendable {
    /// What has been written.
    public private(set) var bytes: [UInt8] = []
    private var needsComma = false

    public init(reserving capacity: Int = 256) { bytes.reserveCapacity(capacity) }

    // MARK: Structure

    public mutating func object(_ body: (inout JSONWriter) -> Void) {
        separate()
        bytes.append(UInt8(ascii: "{"))
        needsComma = false
        body(&self)
        bytes.append(UInt8(ascii: "}"))
        needsComma = true
    }

    public mutating func array(_ body: (inout JSONWriter) -> Void) {
        separate()
        bytes.append(UInt8(ascii: "["))
        needsComma = false
        body(&self)
        bytes.append(UInt8(ascii: "]"))
        needsComma = true
    }

    /// A member's key; its value must follow.
    public mutating func key(_ name: String) {
        separate()
        escape(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    // MARK: Values

    public mutating func string(_ value: String) {
        separate()
        escape(value)
        needsComma = true
    }

    public mutating func integer(_ value: Int) { raw(String(value).utf8) }
    public mutating func double(_ value: Double) { raw(Self.javaScriptNumber(value).utf8) }
    public mutating func bool(_ value: Bool) { raw((value ? "true" : "false").utf8) }
    public mutating func null() { raw("null".utf8) }

    /// Bytes that already are one JSON value.
    public mutating func raw(_ value: some Sequence<UInt8>) {
        separate()
        bytes.append(contentsOf: value)
        needsComma = true
    }

    public mutating func value(_ value: JSONValue) {
        switch value {
        case .null: null()
        case .bool(let flag): bool(flag)
        case .number(let text): raw(text.utf8)
        case .string(let text): string(text)
        case .array(let elements): array { writer in for element in elements { writer.value(element) } }
        case .object(let object): self.value(object)
        }
    }

    public mutating func value(_ object: JSONObject) {
        self.object { writer in
            for member in object.members {
                writer.key(member.key)
                writer.value(member.value)
            }
        }
    }

    // MARK: Members

    public mutating func member(_ name: String, _ value: String) {
        key(name)
        string(value)
    }
    public mutating func member(_ name: String, _ value: Int) {
        key(name)
        integer(value)
    }
    public mutating func member(_ name: String, _ value: Bool) {
        key(name)
        bool(value)
    }
    public mutating func member(_ name: String, _ value: JSONValue) {
        key(name)
        self.value(value)
    }
    public mutating func member(_ name: String, orNull value: String?) {
        key(name)
        if let value { string(value) } else { null() }
    }
    /// Leaves the member out where there is no value, as `JSON.stringify` does with `undefined`.
    public mutating func member(_ name: String, ifPresent value: String?) {
        if let value { member(name, value) }
    }

    // MARK: Details

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
    }

    private mutating func escape(_ text: String) {
        var text = text
        bytes.append(UInt8(ascii: "\""))
        text.withUTF8 { buffer in
            var plainStart = 0
            for index in 0..<buffer.count {
                let byte = buffer[index]
                guard byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") else { continue }
                bytes.append(contentsOf: buffer[plainStart..<index])
                plainStart = index + 1
                appendEscape(byte)
            }
            bytes.append(contentsOf: buffer[plainStart...])
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func appendEscape(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(byte)
        default:
            let digits = Array("0123456789abcdef".utf8)
            bytes.append(contentsOf: "u00".utf8)
            bytes.append(digits[Int(byte >> 4)])
            bytes.append(digits[Int(byte & 15)])
        }
    }

    /// A number as ECMAScript's Number::toString writes it (ECMA-262, 6.1.6.1.20); infinities and NaN become `null`, as in JSON.stringify.
    public static func javaScriptNumber(_ value: Double) -> String {
        guard value.isFinite else { return "null" }
        if value == 0 { return "0" }
        if value == value.rounded(), abs(value) < 9e15 { return String(Int(value)) }
        // Swift prints the same shortest digits, but lays them out differently.
        var mantissa = Substring("\(abs(value))")
        var exponent = 0
        if let mark = mantissa.firstIndex(of: "e") {
            exponent = Int(mantissa[mantissa.index(after: mark)...]) ?? 0
            mantissa = mantissa[..<mark]
        }
        let parts = mantissa.split(separator: ".", omittingEmptySubsequences: false)
        let fraction = parts.count > 1 && parts[1] != "0" ? parts[1] : ""
        let leadingZeros = (parts[0] + fraction).prefix { $0 == "0" }.count
        var digits = String((parts[0] + fraction).dropFirst(leadingZeros))
        // The decimal point stands behind this many digits.
        let point = parts[0].count - leadingZeros + exponent
        while digits.last == "0" { digits.removeLast() }
        let count = digits.count
        let sign = value < 0 ? "-" : ""
        if count <= point, point <= 21 { return sign + digits + String(repeating: "0", count: point - count) }
        if 0 < point, point <= 21 { return sign + digits.prefix(point) + "." + digits.dropFirst(point) }
        if -6 < point, point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + digits }
        let power = point - 1
        let tail = count > 1 ? "." + digits.dropFirst() : ""
        return sign + digits.prefix(1) + tail + "e" + (power < 0 ? "-" : "+") + String(abs(power))
    }
}

extension JSONValue {
    /// The value as compact JSON.
    public var serialized: [UInt8] {
        var writer = JSONWriter()
        writer.value(self)
        return writer.bytes
    }

    public var text: String { String(decoding: serialized, as: UTF8.self) }
}
