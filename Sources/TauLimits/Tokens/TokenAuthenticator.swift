package import TauCore

/// Knows callers by JSON Web Tokens of an issuer that is trusted to name tenants, users and roles.
package struct TokenAuthenticator: Sendable {
    private let settings: TokenSettings
    private let keys: TokenKeys
    private let now: @Sendable () -> Timestamp

    /// Throws what is wrong with the key.
    package init(
        _ settings: TokenSettings, now: @escaping @Sendable () -> Timestamp, uptime: @escaping @Sendable () -> Int64
    ) async throws(TokenKeyError) {
        self.settings = settings
        self.now = now
        keys = TokenKeys(settings, uptime: uptime)
        try await keys.load()
    }

    /// Nil for a token that is not valid now, whatever the reason.
    func principal(forToken text: String) async -> Principal? {
        guard let token = SignedToken(text), settings.algorithms.contains(token.algorithm),
            let key = await keys.key(named: token.keyID), key.verify(token)
        else { return nil }
        return principal(token.claims)
    }

    private func principal(_ claims: JSONValue) -> Principal? {
        let time = Double(now().milliseconds) / 1000
        func moment(_ name: String) -> Double? {
            claims[name]?.double.flatMap { $0.isFinite && (0...1e11).contains($0) ? $0 : nil }
        }
        guard claims["iss"]?.string?.hasSameBytes(as: settings.issuer) == true, isForUs(claims["aud"]),
            let end = moment("exp"), time < end + settings.skewSeconds,
            let issued = moment("iat"), issued <= time + settings.skewSeconds, issued < end,
            end - issued <= settings.maxLifetimeSeconds
        else { return nil }
        if claims["nbf"] != nil {
            guard let begin = moment("nbf"), begin <= time + settings.skewSeconds else { return nil }
        }
        guard let user = claims["sub"]?.string, Owner.isName(user) else { return nil }
        var owner = Owner(tenantID: settings.defaultTenant, userID: user)
        if let tenant = claims[settings.tenantClaim] {
            guard let name = tenant.string, Owner.isName(name) else { return nil }
            owner.tenantID = name
        }
        // The one who runs the server is nobody else's to name.
        guard owner != .local else { return nil }
        var role = Role.user
        if let claim = claims[settings.roleClaim] {
            guard let known = claim.string.flatMap(Role.init) else { return nil }
            role = known
        }
        var scopes = role.scopes
        if let claim = claims["scope"] {
            guard let text = claim.string else { return nil }
            scopes.formIntersection(Scopes(names: text.split(separator: " ")))
        }
        return Principal(owner: owner, role: role, scopes: scopes)
    }

    /// One name, or a list that holds it.
    private func isForUs(_ audience: JSONValue?) -> Bool {
        if let one = audience?.string { return one.hasSameBytes(as: settings.audience) }
        return audience?.array?.contains { $0.string?.hasSameBytes(as: settings.audience) == true } ?? false
    }
}
