/// Somebody who may have keys.
public struct User: Hashable, Sendable {
    public var owner: Owner
    public var role: Role
    /// None of the user's keys and tokens is valid while this is set.
    public var isDisabled: Bool
    public var createdAt: Timestamp

    public init(owner: Owner, role: Role, isDisabled: Bool = false, createdAt: Timestamp) {
        self.owner = owner
        self.role = role
        self.isDisabled = isDisabled
        self.createdAt = createdAt
    }
}

/// What is kept of an API key: everything but its secret.
public struct APIKey: Hashable, Sendable {
    /// The part of the key that is no secret.
    public var id: String
    public var owner: Owner
    /// What people call it.
    public var name: String?
    /// What it was made for; the user's role bounds it further.
    public var scopes: Scopes
    /// SHA-256 of the secret, as hexadecimal digits. Enough for 256 random bits: there is nothing to guess.
    public var digest: String
    public var createdAt: Timestamp
    public var lastUsedAt: Timestamp?
    public var expiresAt: Timestamp?
    public var revokedAt: Timestamp?

    public init(
        id: String, owner: Owner, name: String? = nil, scopes: Scopes, digest: String, createdAt: Timestamp,
        lastUsedAt: Timestamp? = nil, expiresAt: Timestamp? = nil, revokedAt: Timestamp? = nil
    ) {
        self.id = id
        self.owner = owner
        self.name = name
        self.scopes = scopes
        self.digest = digest
        self.createdAt = createdAt
        self.lastUsedAt = lastUsedAt
        self.expiresAt = expiresAt
        self.revokedAt = revokedAt
    }
}
