/// Takes secrets out of texts that are logged, whoever put them there: keys and tokens by their shapes, what stands behind the name of a
/// secret, and passwords in addresses. One pass over the bytes.
struct Redaction {
    static func redacted(_ text: String) -> String {
        var redaction = Redaction(bytes: Array(text.utf8))
        redaction.run()
        return redaction.hasFound ? String(decoding: redaction.output, as: UTF8.self) : text
    }

    private let bytes: [UInt8]
    private var output: [UInt8] = []
    private var hasFound = false
    /// The word before what is looked at, in small letters.
    private var name: [UInt8] = []
    /// Between that word and here stood `:` or `=`.
    private var isAssigned = false

    private static let names = [
        "password", "passwd", "secret", "token", "apikey", "api_key", "api-key", "access_key", "secret_key",
        "authorization",
    ].map { Array($0.utf8) }
    private static let schemes = ["bearer", "basic"].map { Array($0.utf8) }
    private static let prefixes = ["sk-", "ghp_", "gho_", "ghs_", "xoxb-", "xoxp-"].map { Array($0.utf8) }
    private static let privateKey = Array("PRIVATE KEY-----".utf8)
    private static let keyEnd = Array("-----END".utf8)

    private init(bytes: [UInt8]) {
        self.bytes = bytes
        output.reserveCapacity(bytes.count)
    }

    private mutating func run() {
        var place = 0
        while place < bytes.count {
            let end = endOfWord(from: place)
            if end > place {
                place = take(place..<end)
            } else if bytes[place] == UInt8(ascii: ":"), let secret = password(behind: place) {
                output += bytes[place..<secret.lowerBound]
                hide()
                place = secret.upperBound
            } else {
                takeSeparator(bytes[place])
                place += 1
            }
        }
    }

    /// Takes a word over or hides it; answers where it goes on.
    private mutating func take(_ range: Range<Int>) -> Int {
        let word = bytes[range].map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }
        if Self.schemes.contains(word) {
            output += bytes[range]
            (name, isAssigned) = (word, true)
            return range.upperBound
        }
        if isAssigned, Self.schemes.contains(name) || Self.names.contains(where: { name.hasSuffix($0) }) {
            hide()
            name = []
            return endOfValue(from: range.lowerBound)
        }
        if isSecret(range) { hide() } else { output += bytes[range] }
        (name, isAssigned) = (word, false)
        if isPrivateKey(at: range) {
            hide()
            return endOfKey(from: range.upperBound)
        }
        return range.upperBound
    }

    private mutating func hide() {
        hasFound = true
        output += Array("***".utf8)
    }

    private mutating func takeSeparator(_ byte: UInt8) {
        output.append(byte)
        switch byte {
        case UInt8(ascii: ":"), UInt8(ascii: "="): isAssigned = true
        case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "\\"): break
        default: (name, isAssigned) = ([], false)
        }
    }

    // MARK: Shapes

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "+"), UInt8(ascii: "~"):
            true
        default: byte >= 0x80
        }
    }

    private func endOfWord(from start: Int) -> Int {
        var end = start
        while end < bytes.count, Self.isWordByte(bytes[end]) { end += 1 }
        return end
    }

    /// A value goes on to the next blank, quote or sign that ends it.
    private func endOfValue(from start: Int) -> Int {
        let ends = Array(" \t\n\r\"'\\,;&}".utf8)
        return bytes[start...].firstIndex { ends.contains($0) } ?? bytes.count
    }

    private func isSecret(_ range: Range<Int>) -> Bool {
        let word = bytes[range]
        // `tau_<id>_<secret>` is longer than any name that begins so.
        if range.count >= 30, word.starts(with: Array("tau_".utf8)) { return true }
        if range.count >= 11, Self.prefixes.contains(where: { word.starts(with: $0) }) { return true }
        // A JWT begins with `{"` in base64.
        if range.count >= 20, word.starts(with: Array("eyJ".utf8)), word.contains(UInt8(ascii: ".")) { return true }
        return range.count == 20 && (word.starts(with: Array("AKIA".utf8)) || word.starts(with: Array("ASIA".utf8)))
    }

    /// The password in `://user:password@host`, seen from its first colon.
    private func password(behind colon: Int) -> Range<Int>? {
        guard bytes[colon...].starts(with: Array("://".utf8)) else { return nil }
        var start: Int?
        var place = colon + 3
        while place < bytes.count {
            switch bytes[place] {
            case UInt8(ascii: ":"): start = start ?? place + 1
            case UInt8(ascii: "@"): return start.map { $0..<place }
            case UInt8(ascii: "/"), UInt8(ascii: "\""), UInt8(ascii: " "), UInt8(ascii: "\n"): return nil
            default: break
            }
            place += 1
        }
        return nil
    }

    /// Whether the word is the end of `-----BEGIN … PRIVATE KEY-----`.
    private func isPrivateKey(at word: Range<Int>) -> Bool {
        let start = word.upperBound - Self.privateKey.count
        return start >= 0 && bytes[start..<word.upperBound].elementsEqual(Self.privateKey)
    }

    private func endOfKey(from start: Int) -> Int {
        var place = start
        while place < bytes.count, !bytes[place...].starts(with: Self.keyEnd) { place += 1 }
        return place
    }
}

extension [UInt8] {
    fileprivate func hasSuffix(_ suffix: [UInt8]) -> Bool {
        count >= suffix.count && self[(count - suffix.count)...].elementsEqual(suffix)
    }
}
