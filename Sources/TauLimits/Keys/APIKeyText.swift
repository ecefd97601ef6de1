internal import Crypto
internal import TauCore
internal import TauSystem

/// An API key as it is shown once: `tau_<id>_<secret>`. What is kept is the id and the SHA-256 of the secret.
package struct APIKeyText: Sendable {
    package let id: String
    package let secret: String

    package var text: String { "tau_\(id)_\(secret)" }

    /// A new key of 256 random bits.
    package static func generate() -> APIKeyText { APIKeyText(id: random(12), secret: random(43)) }

    private init(id: String, secret: String) {
        self.id = id
        self.secret = secret
    }

    /// Nil for what has another form.
    package init?(parsing text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "_"), maxSplits: 3, omittingEmptySubsequences: false)
        guard text.utf8.count <= 200, parts.count == 3, parts[0].elementsEqual("tau".utf8), !parts[1].isEmpty,
            !parts[2].isEmpty, let id = String(parts[1]), let secret = String(parts[2])
        else { return nil }
        self.init(id: id, secret: secret)
    }

    package var digest: String { Self.digest(of: secret) }

    static func digest(of text: String) -> String { SHA256.hash(data: Array(text.utf8)).hexadecimalDigits }

    private static let letters = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)

    /// Each letter has log2(62), or 5.95 bits.
    private static func random(_ count: Int) -> String {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<count).map { _ in letters[Int.random(in: 0..<letters.count, using: &generator)] }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Takes the same time wherever two texts of one length differ.
    static func areEqual(_ left: String, _ right: String) -> Bool {
        guard left.utf8.count == right.utf8.count else { return false }
        return zip(left.utf8, right.utf8).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
