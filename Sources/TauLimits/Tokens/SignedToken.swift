internal import TauCore

/// A JSON Web Token in its compact form (RFC 7515, 7.1), taken apart and not believed yet.
struct SignedToken {
    /// What the signature is made of: the first two parts as they came.
    let signed: [UInt8]
    let signature: [UInt8]
    let algorithm: String
    let keyID: String?
    let claims: JSONValue

    /// Bytes of a token at the most.
    static let maxBytes = 16 << 10

    /// Nil for what is no token, or has in its header what is never followed: keys and addresses of the sender's own.
    init?(_ text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
        guard text.utf8.count <= Self.maxBytes, parts.count == 3, let header = Self.decode(parts[0]),
            let claims = Self.decode(parts[1]), let signature = Self.decode(parts[2]), !signature.isEmpty,
            let head = try? JSONValue(parsing: header, limits: .request), head.object != nil,
            let body = try? JSONValue(parsing: claims, limits: .request), body.object != nil,
            let algorithm = head["alg"]?.string
        else { return nil }
        for name in ["jwk", "jku", "x5u", "x5c", "crit", "b64"] where head[name] != nil { return nil }
        if let type = head["typ"], type.string?.uppercased() != "JWT", type.string?.lowercased() != "at+jwt" {
            return nil
        }
        keyID = head["kid"]?.string
        if head["kid"] != nil, keyID == nil { return nil }
        self.algorithm = algorithm
        self.claims = body
        self.signature = signature
        signed = Array(text.utf8.prefix(parts[0].count + 1 + parts[1].count))
    }

    /// Base64 for addresses (RFC 4648, 5) without padding; nil for anything that is not the one way to write its bytes.
    static func decode(_ text: Substring.UTF8View) -> [UInt8]? {
        guard text.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count * 3 / 4)
        var buffer: UInt32 = 0
        var bits = 0
        for character in text {
            let value: UInt8
            switch character {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = character - UInt8(ascii: "A")
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = character - UInt8(ascii: "a") + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character - UInt8(ascii: "0") + 52
            case UInt8(ascii: "-"): value = 62
            case UInt8(ascii: "_"): value = 63
            default: return nil
            }
            buffer = buffer << 6 | UInt32(value)
            bits += 6
            guard bits >= 8 else { continue }
            bits -= 8
            bytes.append(UInt8(truncatingIfNeeded: buffer >> UInt32(bits)))
            buffer &= (1 << UInt32(bits)) - 1
        }
        return buffer == 0 ? bytes : nil
    }
}
