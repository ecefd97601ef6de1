/// Who asks.
public struct Principal: Hashable, Sendable {
    public var tenantID: String
    public var userID: String

    public init(tenantID: String, userID: String) {
        self.tenantID = tenantID
        self.userID = userID
    }

    /// The one who runs the process.
    public static let local = Principal(tenantID: "default", userID: "local")
}

/// Tells who a bearer token belongs to.
public protocol Authenticator: Sendable {
    /// The token's owner, or nil for a token that is not valid (whatever the reason).
    func principal(forBearer token: String) async -> Principal?
}
