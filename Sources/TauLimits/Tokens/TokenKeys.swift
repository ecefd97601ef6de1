internal import FoundationEssentials
internal import JWTKit
internal import TauCore

/// The keys that tokens may be signed with, each for one algorithm whatever a token says.
actor TokenKeys {
    struct Key: Sendable {
        let algorithm: any JWTAlgorithm

        /// Whether the key has made the signature.
        func verify(_ token: SignedToken) -> Bool {
            guard algorithm.name.hasSameBytes(as: token.algorithm) else { return false }
            return (try? algorithm.verify(token.signature, signs: token.signed)) ?? false
        }
    }

    private let settings: TokenSettings
    private let uptime: @Sendable () -> Int64
    /// A key that has no name is for every token.
    private var unnamed: Key?
    private var named: [String: Key] = [:]
    private var lastFetch: Int64?
    private var isFetching = false
    /// Who has come while the keys are fetched.
    private var waiting: [CheckedContinuation<Void, Never>] = []

    /// Milliseconds between two fetches, however many unknown keys tokens name.
    private static let fetchInterval: Int64 = 30_000
    /// Keys of a set at the most.
    private static let maxKeys = 100

    init(_ settings: TokenSettings, uptime: @escaping @Sendable () -> Int64) {
        self.settings = settings
        self.uptime = uptime
    }

    /// Reads a key that stands in the configuration; throws what is wrong with it.
    func load() async throws(TokenKeyError) {
        switch settings.keys {
        case .secret(let secret):
            guard secret.count >= 32 else { throw TokenKeyError(reason: "must be at least 32 bytes long") }
            unnamed = try await key(of: secret)
        case .publicKey(let text): unnamed = try await key(of: text)
        case .set: break
        }
    }

    func key(named name: String?) async -> Key? {
        guard case .set(let fetch) = settings.keys else { return unnamed }
        let age = lastFetch.map { uptime() - $0 } ?? .max
        let isKnown = name.map { named[$0] != nil } ?? !named.isEmpty
        if age > settings.refreshSeconds * 1000 || (!isKnown && age > Self.fetchInterval) {
            await refresh(fetch)
        }
        if let name { return named[name] }
        return named.count == 1 ? named.first?.value : nil
    }

    /// Who comes meanwhile waits for the same answer.
    private func refresh(_ fetch: @Sendable () async throws -> [UInt8]) async {
        guard !isFetching else { return await withCheckedContinuation { waiting.append($0) } }
        isFetching = true
        let found = await Self.fetchSet(fetch, settings.algorithms)
        isFetching = false
        // What could not be fetched changes nothing, and is not asked for again so soon, unless only this caller went away.
        if let found { named = found }
        if found != nil || !Task.isCancelled { lastFetch = uptime() }
        for continuation in waiting { continuation.resume() }
        waiting = []
    }

    // MARK: Keys

    private var algorithm: String { settings.algorithms.sorted().first ?? "" }

    private func key(of secret: [UInt8]) async throws(TokenKeyError) -> Key {
        let digest: DigestAlgorithm =
            switch algorithm {
            case "HS384": .sha384
            case "HS512": .sha512
            default: .sha256
            }
        do {
            let keys = await JWTKeyCollection().add(hmac: HMACKey(from: secret), digestAlgorithm: digest)
            return Key(algorithm: try await keys.getKey())
        } catch {
            throw TokenKeyError(reason: "cannot be used")
        }
    }

    private func key(of text: String) async throws(TokenKeyError) -> Key {
        let keys = JWTKeyCollection()
        do {
            switch algorithm {
            case "RS256": await keys.add(rsa: try Insecure.RSA.PublicKey(pem: text), digestAlgorithm: .sha256)
            case "RS384": await keys.add(rsa: try Insecure.RSA.PublicKey(pem: text), digestAlgorithm: .sha384)
            case "RS512": await keys.add(rsa: try Insecure.RSA.PublicKey(pem: text), digestAlgorithm: .sha512)
            case "PS256": await keys.add(pss: try Insecure.RSA.PublicKey(pem: text), digestAlgorithm: .sha256)
            case "PS384": await keys.add(pss: try Insecure.RSA.PublicKey(pem: text), digestAlgorithm: .sha384)
            case "PS512": await keys.add(pss: try Insecure.RSA.PublicKey(pem: text), digestAlgorithm: .sha512)
            case "ES256": await keys.add(ecdsa: try ES256PublicKey(pem: text))
            case "ES384": await keys.add(ecdsa: try ES384PublicKey(pem: text))
            case "ES512": await keys.add(ecdsa: try ES512PublicKey(pem: text))
            default: await keys.add(eddsa: try EdDSA.PublicKey(pem: text))
            }
            return Key(algorithm: try await keys.getKey())
        } catch {
            throw TokenKeyError(reason: "holds no public key for \(algorithm)")
        }
    }

    /// Nil where there is no set to be had. Keys for other algorithms, and keys without a name, are left out.
    private static func fetchSet(
        _ fetch: @Sendable () async throws -> [UInt8], _ allowed: Set<String>
    ) async -> [String: Key]? {
        guard let bytes = try? await fetch(), let json = try? JSONValue(parsing: bytes, limits: .request),
            let members = json["keys"]?.array
        else { return nil }
        var keys: [String: Key] = [:]
        for member in members.prefix(maxKeys) {
            guard let name = member["kid"]?.string, let algorithm = algorithm(of: member), allowed.contains(algorithm),
                // A shared secret has no place in a set that everybody may read.
                !algorithm.hasPrefix("HS"), member["use"]?.string ?? "sig" == "sig",
                var jwk = try? JWK(json: member.text)
            else { continue }
            jwk.algorithm = JWK.Algorithm(rawValue: algorithm)
            let collection = JWTKeyCollection()
            guard (try? await collection.add(jwk: jwk)) != nil, let kid = jwk.keyIdentifier,
                let found = try? await collection.getKey(for: kid, alg: algorithm)
            else { continue }
            keys[name] = Key(algorithm: found)
        }
        return keys
    }

    /// The one algorithm of a key: what it says, or what its kind has.
    private static func algorithm(of key: JSONValue) -> String? {
        if let named = key["alg"]?.string { return named }
        return switch (key["kty"]?.string, key["crv"]?.string) {
        case ("RSA", _): "RS256"
        case ("EC", "P-256"): "ES256"
        case ("EC", "P-384"): "ES384"
        case ("EC", "P-521"): "ES512"
        case ("OKP", "Ed25519"): "EdDSA"
        default: nil
        }
    }
}

/// Why a key of the configuration cannot be used.
package struct TokenKeyError: Error, Sendable {
    package var reason: String
}
