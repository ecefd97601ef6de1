/// Who asks: an owner of things, and what the key or token that they showed lets them do.
public struct Principal: Hashable, Sendable {
    public var owner: Owner
    public var scopes: Scopes
    /// The role of the user, for rules that differ by it.
    public var role: Role
    /// The key that was shown; nil for a token that is no key of Tau's.
    public var keyID: String?

    public init(owner: Owner, role: Role, scopes: Scopes? = nil, keyID: String? = nil) {
        self.owner = owner
        self.role = role
        self.scopes = scopes ?? role.scopes
        self.keyID = keyID
    }

    /// The one who runs the server, with all rights over every tenant.
    public static let operatorOfServer = Principal(
        owner: .local, role: .admin, scopes: Role.admin.scopes.union([.operate, .readMetrics]), keyID: "admin")

    /// Who reads the server's metrics, and nothing else.
    public static let metricsReader = Principal(
        owner: .local, role: .viewer, scopes: .readMetrics, keyID: "metrics")
}

/// Tells who a bearer token belongs to.
public protocol Authenticator: Sendable {
    /// The token's owner, or nil for a token that is not valid (whatever the reason).
    ///
    /// Throws where it cannot be known now: whoever asks is then let in by nobody.
    func principal(forBearer token: String) async throws(StoreError) -> Principal?
}
