internal import Crypto
internal import TauCore

extension Identifier where Kind == SessionKind {
    /// The session's key in the database: its id where that is a UUID, and otherwise one made of it (version 8 of RFC 9562, the
    /// rest from its SHA-256). The id itself stands beside it and decides.
    var uuid: [UInt8] {
        if let uuid = Self.parse(rawValue) { return uuid }
        var bytes = Array(SHA256.hash(data: Array(rawValue.utf8)).prefix(16))
        bytes[6] = bytes[6] & 0x0F | 0x80
        bytes[8] = bytes[8] & 0x3F | 0x80
        return bytes
    }

    /// Only the one way of writing it counts: two ids must not have one key.
    private static func parse(_ text: String) -> [UInt8]? {
        let characters = Array(text.utf8)
        guard characters.count == 36 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16)
        var high: UInt8?
        for (place, character) in characters.enumerated() {
            if place == 8 || place == 13 || place == 18 || place == 23 {
                guard character == UInt8(ascii: "-") else { return nil }
                continue
            }
            let digit: UInt8
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = character - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = character - UInt8(ascii: "a") + 10
            default: return nil
            }
            if let first = high {
                bytes.append(first << 4 | digit)
                high = nil
            } else {
                high = digit
            }
        }
        return bytes
    }
}
