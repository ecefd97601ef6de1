internal import AsyncHTTPClient
internal import Configuration
internal import NIOCore
internal import NIOHTTP1
internal import TauCore
internal import TauLimits

/// Which JSON Web Tokens are let in (`auth.jwt.…`).
struct TokensConfiguration: Sendable {
    private var settings: TokenSettings?

    /// Bytes of a set of keys.
    private static let maxSetBytes = 1 << 20

    mutating func apply(_ configuration: Settings) throws {
        let secret = try configuration.secret("auth.jwt.secret")
        let publicKey = try configuration.secret("auth.jwt.publicKey")
        let set = configuration.string("auth.jwt.jwks")
        let sources = [secret, publicKey, set].compactMap(\.self).count
        guard sources > 0 else { return }
        guard sources == 1 else {
            throw ConfigurationFailure(
                key: "auth.jwt", problem: "needs one of secret, publicKey and jwks, not several")
        }
        let algorithms = configuration.strings("auth.jwt.algorithms") ?? []
        let fitting = TokenSettings.knownAlgorithms.filter { ($0.hasPrefix("HS")) == (secret != nil) }
        guard !algorithms.isEmpty, algorithms.allSatisfy(fitting.contains), set != nil || algorithms.count == 1 else {
            throw ConfigurationFailure(
                key: "auth.jwt.algorithms",
                problem: "must be \(set == nil ? "one" : "some") of \(fitting.joined(separator: ", "))")
        }
        guard let issuer = configuration.string("auth.jwt.issuer") else {
            throw ConfigurationFailure(key: "auth.jwt.issuer", problem: "is missing: what tokens have as iss")
        }
        guard let audience = configuration.string("auth.jwt.audience") else {
            throw ConfigurationFailure(key: "auth.jwt.audience", problem: "is missing: what tokens have as aud")
        }
        let keys: TokenSettings.Keys
        if let secret {
            keys = .secret(Array(secret.utf8))
        } else if let publicKey {
            keys = .publicKey(publicKey)
        } else {
            keys = .set(fetch: try Self.source(set ?? ""))
        }
        var settings = TokenSettings(keys: keys, issuer: issuer, audience: audience, algorithms: Set(algorithms))
        settings.tenantClaim = configuration.string("auth.jwt.tenantClaim") ?? settings.tenantClaim
        settings.roleClaim = configuration.string("auth.jwt.roleClaim") ?? settings.roleClaim
        settings.defaultTenant = configuration.string("auth.jwt.defaultTenant") ?? settings.defaultTenant
        settings.skewSeconds = try configuration.number("auth.jwt.skewSeconds", 0...300) ?? settings.skewSeconds
        settings.maxLifetimeSeconds =
            try configuration.number("auth.jwt.maxLifetimeSeconds", 60...31_536_000) ?? settings.maxLifetimeSeconds
        settings.refreshSeconds =
            try configuration.integer("auth.jwt.refreshSeconds", 30...86_400).map(Int64.init)
            ?? settings.refreshSeconds
        self.settings = settings
    }

    /// A file, or an address that is asked over https; over http only on this machine.
    private static func source(_ text: String) throws -> @Sendable () async throws -> [UInt8] {
        guard text.contains("://") else { return { try SecretFile.read(text, maxBytes: maxSetBytes) } }
        guard text.hasPrefix("https://") || text.hasPrefix("http://127.0.0.1:") || text.hasPrefix("http://localhost:")
        else {
            throw ConfigurationFailure(key: "auth.jwt.jwks", problem: "must be a file, or an address with https://")
        }
        return {
            var configuration = HTTPClient.Configuration()
            configuration.redirectConfiguration = .disallow
            configuration.timeout.connect = .seconds(5)
            return try await HTTPClient.withHTTPClient(configuration: configuration) { client in
                let response = try await client.execute(HTTPClientRequest(url: text), timeout: .seconds(10))
                guard response.status == .ok else {
                    throw ConfigurationFailure(
                        key: "auth.jwt.jwks", problem: "the address answered \(response.status.code)")
                }
                return Array(try await response.body.collect(upTo: maxSetBytes).readableBytesView)
            }
        }
    }

    /// Nil where tokens are not configured.
    func make(
        now: @escaping @Sendable () -> Timestamp, uptime: @escaping @Sendable () -> Int64
    ) async throws -> TokenAuthenticator? {
        guard let settings else { return nil }
        do throws(TokenKeyError) {
            return try await TokenAuthenticator(settings, now: now, uptime: uptime)
        } catch {
            let key =
                switch settings.keys {
                case .secret: "auth.jwt.secret"
                case .publicKey: "auth.jwt.publicKey"
                case .set: "auth.jwt.jwks"
                }
            throw ConfigurationFailure(key: key, problem: error.reason)
        }
    }
}
