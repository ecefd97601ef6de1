/// How JSON Web Tokens are known (`auth.jwt.…`).
package struct TokenSettings: Sendable {
    /// Where the keys come from that tokens may be signed with.
    package enum Keys: Sendable {
        /// A secret that the issuer shares, for HS256, HS384 and HS512.
        case secret([UInt8])
        /// A public key in PEM, for all other algorithms.
        case publicKey(String)
        /// A set of keys (RFC 7517) that is fetched now and then, from a file or an address.
        case set(fetch: @Sendable () async throws -> [UInt8])
    }

    package var keys: Keys
    package var issuer: String
    package var audience: String
    /// The algorithms that are let through; what a token itself says of it is only compared.
    package var algorithms: Set<String>
    /// Claims that hold the tenant and the role.
    package var tenantClaim = "tenant"
    package var roleClaim = "role"
    /// The tenant of tokens that name none.
    package var defaultTenant = "default"
    /// Seconds by which clocks may differ.
    package var skewSeconds = 30.0
    /// Seconds between a token's issue and its end, at the most.
    package var maxLifetimeSeconds = 86_400.0
    /// Seconds after which a set of keys is fetched again.
    package var refreshSeconds: Int64 = 300

    /// Every algorithm that can be asked for. `none` is not among them.
    package static let knownAlgorithms = [
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
        "EdDSA",
    ]

    package init(keys: Keys, issuer: String, audience: String, algorithms: Set<String>) {
        self.keys = keys
        self.issuer = issuer
        self.audience = audience
        self.algorithms = algorithms
    }
}
