/// Where users and their keys are known, for all servers together. Every call that returns has reached the disk, or the committed database.
public protocol AccountStore: Sendable {
    /// Throws `exists` for a user that there is.
    func add(_ user: User) async throws(StoreError)

    func user(_ owner: Owner) async throws(StoreError) -> User?

    /// One page of users in the order of tenant and id, behind `position`; of one tenant, or of all (nil).
    func users(of tenantID: String?, after position: Owner?, limit: Int) async throws(StoreError) -> [User]

    /// Sets the role and whether the user is disabled. Throws `notFound`.
    func update(_ user: User) async throws(StoreError)

    /// Forgets the user and all keys of theirs. No error where there is none.
    func removeUser(_ owner: Owner) async throws(StoreError)

    /// Throws `exists` for an id that was given to another key.
    func add(_ key: APIKey) async throws(StoreError)

    /// A key, valid or not, and the user that it belongs to.
    func key(_ id: String) async throws(StoreError) -> (key: APIKey, user: User?)?

    /// One page of keys in the order of their ids, behind `position`; of one tenant, or of all (nil).
    func keys(of tenantID: String?, after position: String?, limit: Int) async throws(StoreError) -> [APIKey]

    /// A key that was revoked keeps the time when it was first. Throws `notFound`.
    func revokeKey(_ id: String, at time: Timestamp) async throws(StoreError)

    /// Takes down when keys were last used. A time before the one that is known changes nothing.
    func noteUse(of keys: [String: Timestamp]) async throws(StoreError)
}
