/// A JSON value that keeps what matters for a faithful copy: the order of keys and the text of numbers.
public enum JSONValue: Sendable, Hashable {
    case null
    case bool(Bool)
    /// The number's text as it stood, so that `1.0` stays `1.0`.
    case number(String)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
}

/// An object's members in their order. Where a key occurs twice the last one counts, as in JavaScript.
public struct JSONObject: Sendable, Hashable {
    public struct Member: Sendable, Hashable {
        public var key: String
        public var value: JSONValue

        public init(key: String, value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    public var members: [Member]

    public init(members: [Member] = []) { self.members = members }

    public subscript(key: String) -> JSONValue? {
        get { members.last { $0.key.hasSameBytes(as: key) }?.value }
        set {
            members.removeAll { $0.key.hasSameBytes(as: key) }
            if let newValue { members.append(Member(key: key, value: newValue)) }
        }
    }

    /// Replaces a key's value where it stands, or adds it at the end.
    public mutating func update(_ key: String, to value: JSONValue) {
        if let index = members.lastIndex(where: { $0.key.hasSameBytes(as: key) }) {
            members[index].value = value
        } else {
            members.append(Member(key: key, value: value))
        }
    }
}

extension JSONValue {
    /// Parses one JSON text; nothing may follow it but white space.
    public init(parsing bytes: some Sequence<UInt8>, limits: JSONLimits = .lenient) throws(JSONError) {
        var result: Result<JSONValue, JSONError>?
        let parsed: Void? = bytes.withContiguousStorageIfAvailable { buffer in
            result = Result { () throws(JSONError) in try JSONValue.parse(buffer, limits) }
        }
        if parsed == nil {
            Array(bytes).withUnsafeBufferPointer { buffer in
                result = Result { () throws(JSONError) in try JSONValue.parse(buffer, limits) }
            }
        }
        guard let result else { throw JSONError(offset: 0, reason: "no text") }
        self = try result.get()
    }

    public init(parsing text: String, limits: JSONLimits = .lenient) throws(JSONError) {
        try self.init(parsing: Array(text.utf8), limits: limits)
    }

    private static func parse(_ buffer: UnsafeBufferPointer<UInt8>, _ limits: JSONLimits) throws(JSONError) -> JSONValue
    {
        var scanner = JSONScanner(buffer, limits: limits)
        scanner.skipWhitespace()
        let value = try scanner.value(depth: 0)
        try scanner.expectEnd()
        return value
    }
}

extension JSONScanner {
    /// Reads the value that comes next.
    mutating func value(depth: Int) throws(JSONError) -> JSONValue {
        guard let byte = peek() else { throw failure("a value is missing") }
        switch byte {
        case UInt8(ascii: "\""): return .string(text(try string()))
        case UInt8(ascii: "{"):
            var members: [JSONObject.Member] = []
            let start = position
            try object(depth: depth) { (scanner, key) throws(JSONError) in
                let name = scanner.text(key)
                members.append(JSONObject.Member(key: name, value: try scanner.value(depth: depth + 1)))
            }
            if limits.rejectsDuplicateKeys, Set(members.map { Array($0.key.utf8) }).count != members.count {
                throw failure("an object names a key twice", at: start)
            }
            return .object(JSONObject(members: members))
        case UInt8(ascii: "["):
            var elements: [JSONValue] = []
            try array(depth: depth) { (scanner) throws(JSONError) in
                elements.append(try scanner.value(depth: depth + 1))
            }
            return .array(elements)
        case UInt8(ascii: "t"):
            try literal("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try literal("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try literal("null")
            return .null
        default:
            let range = try number()
            return .number(String(decoding: base[range], as: UTF8.self))
        }
    }
}

// MARK: - Access

extension JSONValue {
    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
    public var isNull: Bool { self == .null }

    /// The number, if there is one and it is finite.
    public var double: Double? {
        guard case .number(let text) = self, let value = Double(text), value.isFinite else { return nil }
        return value
    }

    /// The number, if it is a whole one that fits: `3`, `3.0` and `3e0` are all 3.
    public var integer: Int? {
        guard case .number(let text) = self else { return nil }
        return Int(text) ?? Double(text).flatMap { Int(exactly: $0) }
    }

    public subscript(key: String) -> JSONValue? { object?[key] }

    public static func integer(_ value: Int) -> JSONValue { .number(String(value)) }
    public static func double(_ value: Double) -> JSONValue { .number(JSONWriter.javaScriptNumber(value)) }
}

extension JSONValue: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral, ExpressibleByStringLiteral,
    ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByFloatLiteral
{
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(JSONObject(members: elements.map { JSONObject.Member(key: $0.0, value: $0.1) }))
    }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
}
