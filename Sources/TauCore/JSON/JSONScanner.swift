/// Why a text is not JSON, and where.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Bytes from the start of the text.
    public let offset: Int
    /// What was wrong, in words for a reader.
    public let reason: String

    public init(offset: Int, reason: String) {
        self.offset = offset
        self.reason = reason
    }

    public var description: String { "\(reason) at byte \(offset)" }
}

/// Bounds that keep a hostile text from exhausting the stack or the memory.
public struct JSONLimits: Sendable {
    /// Nested arrays and objects.
    public var maxDepth: Int
    /// Whether an object that names a key twice is refused; otherwise the last one counts, as in JavaScript.
    public var rejectsDuplicateKeys: Bool
    /// Whether an escape of half a character is refused; otherwise it becomes U+FFFD.
    public var rejectsLoneSurrogates: Bool

    public init(maxDepth: Int = 512, rejectsDuplicateKeys: Bool = false, rejectsLoneSurrogates: Bool = false) {
        self.maxDepth = maxDepth
        self.rejectsDuplicateKeys = rejectsDuplicateKeys
        self.rejectsLoneSurrogates = rejectsLoneSurrogates
    }

    /// What Tau accepts in stored session lines and from models.
    public static let lenient = JSONLimits()
    /// What Tau accepts in a request body: duplicate keys would mean different things to different readers.
    public static let request = JSONLimits(
        maxDepth: 64, rejectsDuplicateKeys: true, rejectsLoneSurrogates: true)
}

/// Walks over JSON text (RFC 8259) without building values: it checks the grammar and UTF-8, and tells where things lie.
///
/// The buffer must stay valid while the scanner lives; it is used only inside `withUnsafe…` closures of this module.
struct JSONScanner {
    let base: UnsafeBufferPointer<UInt8>
    let end: Int
    let limits: JSONLimits
    var position: Int

    init(_ bytes: UnsafeBufferPointer<UInt8>, limits: JSONLimits = .lenient) {
        base = bytes
        end = bytes.count
        self.limits = limits
        position = 0
    }

    func failure(_ reason: String, at offset: Int? = nil) -> JSONError {
        JSONError(offset: offset ?? position, reason: reason)
    }

    @inline(__always)
    mutating func skipWhitespace() {
        while position < end {
            switch base[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    @inline(__always)
    func peek() -> UInt8? { position < end ? base[position] : nil }

    mutating func expect(_ byte: UInt8, _ what: String) throws(JSONError) {
        guard position < end, base[position] == byte else { throw failure("expected \(what)") }
        position += 1
    }

    /// Nothing but white space may follow.
    mutating func expectEnd() throws(JSONError) {
        skipWhitespace()
        guard position == end else { throw failure("unexpected text after the value") }
    }

    // MARK: Strings

    /// Where a string's content lies (without its quotes), and whether it has escapes.
    struct StringSpan {
        var start: Int
        var end: Int
        var hasEscapes: Bool
    }

    /// Reads a string whose opening quote is next.
    mutating func string() throws(JSONError) -> StringSpan {
        try expect(UInt8(ascii: "\""), "a string")
        let start = position
        var hasEscapes = false
        while true {
            // Eight plain ASCII bytes at a time.
            while position &+ 8 <= end {
                let word = UnsafeRawBufferPointer(base).loadUnaligned(fromByteOffset: position, as: UInt64.self)
                if Self.hasSpecialByte(word) { break }
                position &+= 8
            }
            guard position < end else { throw failure("the string has no end", at: start - 1) }
            let byte = base[position]
            if byte == UInt8(ascii: "\"") {
                position += 1
                return StringSpan(start: start, end: position - 1, hasEscapes: hasEscapes)
            } else if byte == UInt8(ascii: "\\") {
                hasEscapes = true
                try skipEscape()
            } else if byte < 0x20 {
                throw failure("unescaped control character in a string")
            } else if byte < 0x80 {
                position += 1
            } else {
                try skipMultibyteScalar()
            }
        }
    }

    @inline(__always)
    private static func hasSpecialByte(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quotes = word ^ (ones &* 0x22)
        let backslashes = word ^ (ones &* 0x5C)
        let found =
            ((quotes &- ones) & ~quotes) | ((backslashes &- ones) & ~backslashes)
            | ((word &- (ones &* 0x20)) & ~word) | word
        return found & 0x8080_8080_8080_8080 != 0
    }

    private mutating func skipEscape() throws(JSONError) {
        guard position + 1 < end else { throw failure("the string has no end") }
        switch base[position + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            position += 2
        case UInt8(ascii: "u"):
            guard position + 6 <= end, let unit = hexadecimal(at: position + 2) else {
                throw failure("\\u needs four hexadecimal digits")
            }
            position += 6
            if limits.rejectsLoneSurrogates, (0xD800...0xDFFF).contains(unit) { try skipLowSurrogate(after: unit) }
        default:
            throw failure("unknown escape in a string")
        }
    }

    /// The second half of a character, which must follow its first one.
    private mutating func skipLowSurrogate(after unit: UInt16) throws(JSONError) {
        guard unit < 0xDC00, position + 6 <= end, base[position] == UInt8(ascii: "\\"),
            base[position + 1] == UInt8(ascii: "u"), let low = hexadecimal(at: position + 2),
            (0xDC00...0xDFFF).contains(low)
        else { throw failure("half of a character in a string") }
        position += 6
    }

    func hexadecimal(at offset: Int) -> UInt16? {
        var value: UInt16 = 0
        for index in offset..<(offset + 4) {
            let digit: UInt8
            switch base[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = base[index] - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = base[index] - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = base[index] - UInt8(ascii: "A") + 10
            default: return nil
            }
            value = value << 4 | UInt16(digit)
        }
        return value
    }

    /// Well-formed UTF-8 by table 3-7 of the Unicode standard: no overlong forms, no surrogates.
    private mutating func skipMultibyteScalar() throws(JSONError) {
        let first = base[position]
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch first {
        case 0xC2...0xDF: length = 2
        case 0xE0:
            length = 3
            second = 0xA0...0xBF
        case 0xED:
            length = 3
            second = 0x80...0x9F
        case 0xE1...0xEF: length = 3
        case 0xF0:
            length = 4
            second = 0x90...0xBF
        case 0xF4:
            length = 4
            second = 0x80...0x8F
        case 0xF1...0xF3: length = 4
        default: throw failure("invalid UTF-8 in a string")
        }
        guard position + length <= end, second.contains(base[position + 1]) else {
            throw failure("invalid UTF-8 in a string")
        }
        for index in (position + 2)..<(position + length) where base[index] & 0xC0 != 0x80 {
            throw failure("invalid UTF-8 in a string")
        }
        position += length
    }

    /// The text of a string; a lone surrogate escape, which Swift cannot hold, becomes U+FFFD.
    func text(_ span: StringSpan) -> String {
        let raw = UnsafeBufferPointer(rebasing: base[span.start..<span.end])
        guard span.hasEscapes else { return String(decoding: raw, as: UTF8.self) }
        var units: [UInt8] = []
        units.reserveCapacity(raw.count)
        var index = span.start
        while index < span.end {
            let byte = base[index]
            guard byte == UInt8(ascii: "\\") else {
                units.append(byte)
                index += 1
                continue
            }
            let escape = base[index + 1]
            index += 2
            switch escape {
            case UInt8(ascii: "b"): units.append(0x08)
            case UInt8(ascii: "f"): units.append(0x0C)
            case UInt8(ascii: "n"): units.append(0x0A)
            case UInt8(ascii: "r"): units.append(0x0D)
            case UInt8(ascii: "t"): units.append(0x09)
            case UInt8(ascii: "u"):
                let scalar = unescapedScalar(at: &index, before: span.end)
                units.append(contentsOf: UTF8.encode(scalar).unsafelyUnwrapped)
            default: units.append(escape)
            }
        }
        return String(decoding: units, as: UTF8.self)
    }

    private func unescapedScalar(at index: inout Int, before end: Int) -> Unicode.Scalar {
        // The scan has checked the digits.
        let unit = hexadecimal(at: index) ?? 0xFFFD
        index += 4
        if let scalar = Unicode.Scalar(UInt32(unit)) { return scalar }
        if unit < 0xDC00, index + 6 <= end, base[index] == UInt8(ascii: "\\"), base[index + 1] == UInt8(ascii: "u"),
            let low = hexadecimal(at: index + 2), (0xDC00...0xDFFF).contains(low)
        {
            index += 6
            let value = 0x10000 + (UInt32(unit) - 0xD800) << 10 + (UInt32(low) - 0xDC00)
            return Unicode.Scalar(value) ?? "\u{FFFD}"
        }
        return "\u{FFFD}"
    }

    @inline(__always)
    func equals(_ span: StringSpan, _ name: StaticString) -> Bool {
        let count = span.end - span.start
        guard count == name.utf8CodeUnitCount, !span.hasEscapes else { return false }
        let other = name.utf8Start
        for index in 0..<count where base[span.start + index] != other[index] { return false }
        return true
    }

    // MARK: Values

    /// Checks the value that comes next and moves behind it.
    mutating func skipValue(depth: Int = 0) throws(JSONError) {
        guard let byte = peek() else { throw failure("a value is missing") }
        switch byte {
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "{"):
            try object(depth: depth) { (scanner, _) throws(JSONError) in try scanner.skipValue(depth: depth + 1) }
        case UInt8(ascii: "["):
            try array(depth: depth) { (scanner) throws(JSONError) in try scanner.skipValue(depth: depth + 1) }
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: _ = try number()
        }
    }

    mutating func literal(_ word: StaticString) throws(JSONError) {
        let count = word.utf8CodeUnitCount
        guard position + count <= end else { throw failure("unknown word") }
        for index in 0..<count where base[position + index] != word.utf8Start[index] { throw failure("unknown word") }
        position += count
    }

    /// The text of the number that comes next, as it stands.
    mutating func number() throws(JSONError) -> Range<Int> {
        let start = position
        if peek() == UInt8(ascii: "-") { position += 1 }
        guard let first = peek(), isDigit(first) else { throw failure("expected a value", at: start) }
        if first == UInt8(ascii: "0") { position += 1 } else { skipDigits() }
        if peek() == UInt8(ascii: ".") {
            position += 1
            guard let next = peek(), isDigit(next) else { throw failure("a digit must follow the decimal point") }
            skipDigits()
        }
        if let byte = peek(), byte | 0x20 == UInt8(ascii: "e") {
            position += 1
            if let sign = peek(), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { position += 1 }
            guard let next = peek(), isDigit(next) else { throw failure("a digit must follow the exponent") }
            skipDigits()
        }
        return start..<position
    }

    @inline(__always)
    private func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

    private mutating func skipDigits() {
        while position < end, isDigit(base[position]) { position += 1 }
    }

    /// Walks over an object; `member` is called with each key and must consume the value.
    @inline(__always)
    mutating func object(
        depth: Int, _ member: (inout JSONScanner, StringSpan) throws(JSONError) -> Void
    ) throws(JSONError) {
        guard depth < limits.maxDepth else { throw failure("nested deeper than \(limits.maxDepth)") }
        try expect(UInt8(ascii: "{"), "an object")
        skipWhitespace()
        if peek() == UInt8(ascii: "}") {
            position += 1
            return
        }
        while true {
            skipWhitespace()
            let key = try string()
            skipWhitespace()
            try expect(UInt8(ascii: ":"), "':'")
            skipWhitespace()
            try member(&self, key)
            skipWhitespace()
            if peek() == UInt8(ascii: ",") {
                position += 1
            } else {
                return try expect(UInt8(ascii: "}"), "',' or '}'")
            }
        }
    }

    /// Walks over an array; `element` must consume one value.
    @inline(__always)
    mutating func array(
        depth: Int, _ element: (inout JSONScanner) throws(JSONError) -> Void
    ) throws(JSONError) {
        guard depth < limits.maxDepth else { throw failure("nested deeper than \(limits.maxDepth)") }
        try expect(UInt8(ascii: "["), "an array")
        skipWhitespace()
        if peek() == UInt8(ascii: "]") {
            position += 1
            return
        }
        while true {
            skipWhitespace()
            try element(&self)
            skipWhitespace()
            if peek() == UInt8(ascii: ",") {
                position += 1
            } else {
                return try expect(UInt8(ascii: "]"), "',' or ']'")
            }
        }
    }
}
