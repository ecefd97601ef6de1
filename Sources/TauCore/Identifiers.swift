/// A name for one thing of a kind, compared byte by byte.
///
/// Swift compares strings by canonical equivalence, so that two different file names can be equal as `String`s; identifiers never are.
public struct Identifier<Kind>: Hashable, Sendable, CustomStringConvertible {
    public let rawValue: String

    /// Takes the text as it is: for values that only ever serve as keys, such as entry ids of foreign session files.
    public init(unchecked rawValue: String) { self.rawValue = rawValue }

    public var description: String { rawValue }

    public static func == (left: Self, right: Self) -> Bool {
        left.rawValue.hasSameBytes(as: right.rawValue)
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(rawValue) }
}

public enum SessionKind {}
public enum EntryKind {}
public enum RunKind {}

public typealias SessionID = Identifier<SessionKind>
/// An entry's id, unique within its session; any text that a session file holds.
public typealias EntryID = Identifier<EntryKind>
public typealias RunID = Identifier<RunKind>

extension Identifier where Kind == SessionKind {
    /// Accepts what Pi accepts as a session id (letters, digits, `.`, `_`, `-`, a letter or digit at both ends), up to 128 bytes.
    ///
    /// Such a name is safe as a file name: it has no slash and cannot be `.` or `..`.
    public init?(_ text: String) {
        guard Self.isSafeName(text) else { return nil }
        self.init(unchecked: text)
    }
}

extension Identifier where Kind == RunKind {
    public init?(_ text: String) {
        guard Self.isSafeName(text) else { return nil }
        self.init(unchecked: text)
    }
}

extension Identifier {
    static func isSafeName(_ text: String) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, let last = bytes.last, bytes.count <= 128, first.isAlphanumeric,
            last.isAlphanumeric
        else { return false }
        return bytes.allSatisfy {
            $0.isAlphanumeric || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-")
        }
    }
}

/// Where new ids come from; tests put a seeded one in.
public struct IdentifierSource: Sendable {
    private let random: @Sendable () -> UInt64

    public init(random: @escaping @Sendable () -> UInt64 = { UInt64.random(in: .min ... .max) }) {
        self.random = random
    }

    /// A UUID version 7 (RFC 9562): sorts by the time it was made.
    public func uuid(at time: Timestamp) -> String {
        let milliseconds = UInt64(max(0, time.milliseconds))
        let high = milliseconds << 16 | 0x7000 | random() & 0x0FFF
        let low = random() & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        let digits = hexadecimal(high) + hexadecimal(low)
        var text = ""
        text.reserveCapacity(36)
        for (index, digit) in digits.enumerated() {
            if index == 8 || index == 12 || index == 16 || index == 20 { text.append("-") }
            text.append(digit)
        }
        return text
    }

    public func sessionID(at time: Timestamp) -> SessionID { SessionID(unchecked: uuid(at: time)) }
    public func runID(at time: Timestamp) -> RunID { RunID(unchecked: uuid(at: time)) }

    /// An id of eight hexadecimal digits that is not taken yet, as Pi makes them; after 100 collisions a whole UUID.
    public func entryID(isTaken: (EntryID) -> Bool) -> EntryID {
        for _ in 0..<100 {
            let id = EntryID(unchecked: String(hexadecimal(random()).prefix(8)))
            if !isTaken(id) { return id }
        }
        return EntryID(unchecked: hexadecimal(random()) + hexadecimal(random()))
    }

    private func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}

extension UInt8 {
    /// A letter or a digit of ASCII.
    package var isAlphanumeric: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}
