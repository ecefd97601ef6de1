internal import Crypto
internal import TauSystem

/// The signature of a request to S3, version 4, as Amazon's "Signature Version 4 signing process" describes it.
struct RequestSignature {
    struct Credentials: Sendable {
        var accessKey: String
        var secretKey: String
        var sessionToken: String?
    }

    var method: String
    /// The path as it stands in the request, encoded.
    var path: String
    /// Names and values, not encoded.
    var query: [(name: String, value: String)]
    /// Names in lower case; `host`, `x-amz-date` and `x-amz-content-sha256` among them.
    var headers: [(name: String, value: String)]
    /// SHA-256 of the body, in hexadecimal digits.
    var payloadHash: String
    /// `20150830T123600Z`
    var date: String
    var region: String
    var service = "s3"

    /// The value of the header `Authorization`.
    func authorization(_ credentials: Credentials) -> String {
        let names = headers.map(\.name).sorted().joined(separator: ";")
        let signature = Self.hmac(signingKey(credentials.secretKey), stringToSign).hexadecimalDigits
        return
            "AWS4-HMAC-SHA256 Credential=\(credentials.accessKey)/\(scope), SignedHeaders=\(names), Signature=\(signature)"
    }

    var canonicalRequest: String {
        let sorted = headers.sorted { $0.name < $1.name }
        return """
            \(method)
            \(path)
            \(Self.queryString(query))
            \(sorted.map { "\($0.name):\(Self.trimmed($0.value))\n" }.joined())
            \(sorted.map(\.name).joined(separator: ";"))
            \(payloadHash)
            """
    }

    private var scope: String { "\(date.prefix(8))/\(region)/\(service)/aws4_request" }

    private var stringToSign: String {
        "AWS4-HMAC-SHA256\n\(date)\n\(scope)\n\(Self.sha256(Array(canonicalRequest.utf8)))"
    }

    private func signingKey(_ secret: String) -> [UInt8] {
        var key = Array("AWS4\(secret)".utf8)
        for part in [String(date.prefix(8)), region, service, "aws4_request"] { key = Self.hmac(key, part) }
        return key
    }

    // MARK: Parts

    /// Names and values encoded, in the order of the encoded names.
    static func queryString(_ query: [(name: String, value: String)]) -> String {
        query.map { (encoded($0.name), encoded($0.value)) }.sorted { $0 < $1 }
            .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }

    /// All but letters, digits, `-`, `.`, `_` and `~` as percent signs; slashes too, unless they stay.
    static func encoded(_ text: String, keepsSlashes: Bool = false) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            case UInt8(ascii: "/") where keepsSlashes: result.append("/")
            default: result += "%" + [byte].hexadecimalDigits.uppercased()
            }
        }
        return result
    }

    private static func trimmed(_ value: String) -> String {
        value.split(separator: " ").joined(separator: " ")
    }

    private static func hmac(_ key: [UInt8], _ text: String) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Array(text.utf8), using: SymmetricKey(data: key)))
    }

    static func sha256(_ bytes: [UInt8]) -> String { SHA256.hash(data: bytes).hexadecimalDigits }
}
