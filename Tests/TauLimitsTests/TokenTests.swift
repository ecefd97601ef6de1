import Foundation
import JWTKit
import Synchronization
import TauCore
import TauTestKit
import Testing

@testable import TauLimits

/// Tokens of an issuer, real and forged.
@Suite struct TokenTests {
    private static let now = 1_790_000_000
    private static let secret = "a-secret-of-thirty-two-bytes-or-more!"

    private static func encoded(_ bytes: some Sequence<UInt8>) -> String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    private static let claims: JSONValue = [
        "iss": "https://issuer.example", "aud": "tau", "sub": "alice", "tenant": "acme", "iat": 1_790_000_000,
        "exp": 1_790_000_600,
    ]

    private static func changed(_ name: String, _ value: JSONValue?) -> String {
        var object = claims.object ?? JSONObject()
        object[name] = value
        return JSONValue.object(object).text
    }

    /// A token with any header and claims, signed with an HMAC of SHA-2.
    private static func token(
        _ claims: String = claims.text, header: String = #"{"alg":"HS256","typ":"JWT"}"#, secret: String = secret
    ) async throws -> String {
        let signed = encoded(header.utf8) + "." + encoded(claims.utf8)
        let keys = await JWTKeyCollection().add(hmac: HMACKey(from: Array(secret.utf8)), digestAlgorithm: .sha256)
        return signed + "." + encoded(try await keys.getKey().sign(Array(signed.utf8)))
    }

    private static func authenticator(
        _ keys: TokenSettings.Keys = .secret(Array(secret.utf8)), algorithms: Set<String> = ["HS256"],
        uptime: @escaping @Sendable () -> Int64 = { 0 }
    ) async throws -> TokenAuthenticator {
        let settings = TokenSettings(
            keys: keys, issuer: "https://issuer.example", audience: "tau", algorithms: algorithms)
        return try await TokenAuthenticator(
            settings, now: { Timestamp(milliseconds: Int64(now) * 1000) }, uptime: uptime)
    }

    @Test func `a token names owner, role and scopes`() async throws {
        let authenticator = try await Self.authenticator()
        let plain = try #require(await authenticator.principal(forToken: try await Self.token()))
        #expect(plain.owner == Owner(tenantID: "acme", userID: "alice") && plain.role == .user && plain.keyID == nil)
        #expect(plain.scopes == Role.user.scopes)
        let list = try await Self.token(Self.changed("aud", ["other", "tau"]))
        #expect(await authenticator.principal(forToken: list) != nil)
        let viewer = try await Self.token(Self.changed("role", "viewer"))
        #expect(await authenticator.principal(forToken: viewer)?.scopes == Role.viewer.scopes)
        let narrow = try await Self.token(Self.changed("scope", "openid runs:read admin"))
        #expect(await authenticator.principal(forToken: narrow)?.scopes == .readRuns)
        let nobody = try await Self.token(Self.changed("tenant", nil))
        #expect(await authenticator.principal(forToken: nobody)?.owner.tenantID == "default")
        for (claim, value) in [("exp", 1_789_999_971), ("iat", 1_790_000_030), ("nbf", 1_790_000_030)] {
            let token = try await Self.token(Self.changed(claim, .number(String(value))))
            let isValid = await authenticator.principal(forToken: token) != nil
            // Clocks may differ by half a minute; a token that ended before it was issued is none.
            #expect(isValid == (claim != "exp"), "\(claim)")
        }
    }

    @Test(arguments: [
        ("exp", "1789999969"), ("exp", #""1790000600""#), ("exp", "1e400"), ("exp", "-1"), ("exp", "1790090000"),
        ("iat", "1790000031"), ("iat", "null"), ("nbf", "1790000060"), ("nbf", #""now""#),
        ("iss", #""https://issuer.example.evil""#),
        ("iss", "null"), ("aud", #""tau.example.evil""#), ("aud", #"["other"]"#), ("aud", "[]"), ("aud", "{}"),
        ("sub", #""""#), ("sub", "7"), ("sub", #""../x""#), ("tenant", "7"), ("tenant", #""a b""#),
        ("role", #""root""#),
        ("role", "1"), ("scope", "[]"),
    ])
    func `a claim that is wrong makes the token none`(_ claim: String, _ value: String) async throws {
        let authenticator = try await Self.authenticator()
        let rest = Self.changed(claim, nil).dropLast()
        let token = try await Self.token("\(rest),\"\(claim)\":\(value)}")
        #expect(await authenticator.principal(forToken: token) == nil)
    }

    @Test func `what is missing, doubled, or names the one who runs the server is refused`() async throws {
        let authenticator = try await Self.authenticator()
        for claim in ["exp", "iat", "iss", "aud", "sub"] {
            #expect(
                await authenticator.principal(forToken: try await Self.token(Self.changed(claim, nil))) == nil,
                "\(claim)")
        }
        let doubled = Self.claims.text.dropLast() + #","sub":"bob"}"#
        #expect(await authenticator.principal(forToken: try await Self.token(String(doubled))) == nil)
        let root = #"{"iss":"https://issuer.example","aud":"tau","sub":"admin","iat":1790000000,"exp":1790000600}"#
        #expect(await authenticator.principal(forToken: try await Self.token(root)) == nil)
    }

    @Test(arguments: [
        #"{"alg":"none"}"#, #"{"alg":"NoNe"}"#, #"{"typ":"JWT"}"#, #"{"alg":"HS512"}"#, #"{"alg":"RS256"}"#,
        #"{"alg":7}"#, #"{"alg":"HS256","crit":["exp"]}"#, #"{"alg":"HS256","jku":"https://evil.example"}"#,
        #"{"alg":"HS256","x5u":"https://evil.example"}"#, #"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#,
        #"{"alg":"HS256","kid":7}"#, #"{"alg":"HS256","b64":false}"#, #"{"alg":"HS256","alg":"none"}"#, "[]",
    ])
    func `a header that asks for anything else is not followed`(_ header: String) async throws {
        let authenticator = try await Self.authenticator()
        let token = try await Self.token(header: header)
        #expect(await authenticator.principal(forToken: token) == nil)
        // Without a signature it is even less.
        let bare = token.split(separator: ".").prefix(2).joined(separator: ".") + "."
        #expect(await authenticator.principal(forToken: bare) == nil)
    }

    @Test func `a token that was changed anywhere is none`() async throws {
        let authenticator = try await Self.authenticator()
        let token = try await Self.token()
        for (index, byte) in token.utf8.enumerated() where index % 7 == 0 {
            var bytes = Array(token.utf8)
            bytes[index] = byte == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(await authenticator.principal(forToken: String(decoding: bytes, as: UTF8.self)) == nil, "\(index)")
        }
        for wrong in ["", "..", "a.b.c", token + ".", token + "=", token + "A", " " + token, String(token.dropLast())] {
            #expect(await authenticator.principal(forToken: wrong) == nil)
        }
        let other = try await Self.token(secret: "another-secret-of-thirty-two-bytes-or-more")
        #expect(await authenticator.principal(forToken: other) == nil)
        #expect(
            await authenticator.principal(forToken: try await Self.token(String(repeating: " ", count: 20_000))) == nil)
        await #expect(throws: TokenKeyError.self) { try await Self.authenticator(.secret(Array("short".utf8))) }
        await #expect(throws: TokenKeyError.self) {
            try await Self.authenticator(.publicKey("no key"), algorithms: ["RS256"])
        }
    }

    @Test func `a public key is no shared secret, whatever a token says`() async throws {
        let key = ES256PrivateKey()
        let pem = key.publicKey.pemRepresentation
        let authenticator = try await Self.authenticator(.publicKey(pem), algorithms: ["ES256"])
        let signed = Self.encoded(#"{"alg":"ES256"}"#.utf8) + "." + Self.encoded(Self.claims.text.utf8)
        let keys = await JWTKeyCollection().add(ecdsa: key)
        let real = signed + "." + Self.encoded(try await keys.getKey().sign(Array(signed.utf8)))
        #expect(await authenticator.principal(forToken: real)?.owner.userID == "alice")
        for header in [#"{"alg":"HS256"}"#, #"{"alg":"ES256"}"#] {
            let forged = try await Self.token(header: header, secret: pem)
            #expect(await authenticator.principal(forToken: forged) == nil)
        }
    }

    @Test func `keys of a set come and go, unknown ones are asked for seldom, and the old ones stay when it is away`()
        async throws
    {
        final class Source: Sendable {
            let state = Mutex((document: "", fetches: 0, isAway: false, uptime: Int64(0)))
        }
        struct Away: Error {}
        let source = Source()
        let authenticator = try await Self.authenticator(
            .set {
                try source.state.withLock { state in
                    state.fetches += 1
                    if state.isAway { throw Away() }
                    return Array(state.document.utf8)
                }
            }, algorithms: ["EdDSA"], uptime: { source.state.withLock { $0.uptime } })
        let keys = [try EdDSA.PrivateKey(curve: .ed25519), try EdDSA.PrivateKey(curve: .ed25519)]
        func document(_ names: [String]) -> String {
            let members = zip(names, keys).map { name, key in
                let x = key.publicKey.rawRepresentation
                return #"{"kty":"OKP","crv":"Ed25519","kid":"\#(name)","x":"\#(Self.encoded(x))"}"#
            }
            // Others of its kind are left alone.
            return #"{"keys":[{"kty":"oct","kid":"s","alg":"HS256","k":"AAAA"},\#(members.joined(separator: ","))]}"#
        }
        func token(_ name: String, _ key: EdDSA.PrivateKey) async throws -> String {
            let header = #"{"alg":"EdDSA","kid":"\#(name)"}"#
            let signed = Self.encoded(header.utf8) + "." + Self.encoded(Self.claims.text.utf8)
            let collection = await JWTKeyCollection().add(eddsa: key)
            return signed + "." + Self.encoded(try await collection.getKey().sign(Array(signed.utf8)))
        }
        source.state.withLock { $0.document = document(["one"]) }
        let first = try await token("one", keys[0])
        let second = try await token("two", keys[1])
        #expect(await authenticator.principal(forToken: first) != nil)
        for number in 0..<100 {
            #expect(await authenticator.principal(forToken: try await token("unknown-\(number)", keys[0])) == nil)
        }
        #expect(source.state.withLock { $0.fetches } == 1)
        // A new key is found half a minute later, the other one's name does not help.
        source.state.withLock { state in
            state.document = document(["one", "two"])
            state.uptime = 30_001
        }
        #expect(await authenticator.principal(forToken: try await token("one", keys[1])) == nil)
        #expect(await authenticator.principal(forToken: second) != nil)
        source.state.withLock { state in
            state.isAway = true
            state.uptime = 1_000_000
        }
        #expect(await authenticator.principal(forToken: first) != nil)
        // A key that is taken out of the set is none any more.
        source.state.withLock { state in
            state.isAway = false
            state.document = #"{"keys":[]}"#
            state.uptime = 2_000_000
        }
        #expect(await authenticator.principal(forToken: first) == nil)
    }
}
