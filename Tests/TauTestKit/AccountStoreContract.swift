public import TauCore

/// What every account store must do; each store's tests run all of it. `second` sees the same accounts as `store`.
public struct AccountStoreContract: Sendable, Contract {
    private let store: any AccountStore
    private let second: any AccountStore

    public init(store: any AccountStore, second: any AccountStore) {
        self.store = store
        self.second = second
    }

    /// All promises, by name.
    public static let promises: [(name: String, check: @Sendable (AccountStoreContract) async throws -> Void)] = [
        ("users are added once, changed and found", { try await $0.keepsUsers() }),
        ("users are listed by tenant, in pages", { try await $0.listsUsers() }),
        ("keys come back as they were made", { try await $0.keepsKeys() }),
        ("a revoked key stays revoked", { try await $0.revokes() }),
        ("uses of keys only go forward", { try await $0.notesUses() }),
        ("a user takes the keys along", { try await $0.removesUsers() }),
    ]

    private static func owner(_ user: String, _ tenant: String = "acme") -> Owner {
        Owner(tenantID: tenant, userID: user)
    }

    private static func user(_ name: String, _ tenant: String = "acme", _ role: Role = .user) -> User {
        User(owner: owner(name, tenant), role: role, createdAt: Timestamp(milliseconds: 5000))
    }

    private static func key(_ id: String, _ owner: Owner) -> APIKey {
        APIKey(
            id: id, owner: owner, name: "named \u{1F511}", scopes: [.readSessions, .writeRuns], digest: "d-\(id)",
            createdAt: Timestamp(milliseconds: 7000), expiresAt: Timestamp(milliseconds: 9000))
    }

    private func keepsUsers() async throws {
        try expect(try await store.user(Self.owner("alice")) == nil, "nobody yet")
        try await expect(.notFound) { () throws(StoreError) in try await store.update(Self.user("alice")) }
        try await store.add(Self.user("alice"))
        try await expect(.exists) { () throws(StoreError) in try await second.add(Self.user("alice", "acme", .admin)) }
        try await store.add(Self.user("alice", "other", .viewer))
        try expect(try await second.user(Self.owner("alice")) == Self.user("alice"), "alice as she was added")
        var changed = Self.user("alice", "acme", .admin)
        changed.isDisabled = true
        try await second.update(changed)
        try expect(try await store.user(Self.owner("alice")) == changed, "alice as she was changed")
        let namesake = try await store.user(Self.owner("alice", "other"))
        try expect(namesake == Self.user("alice", "other", .viewer), "her namesake stays")
    }

    private func listsUsers() async throws {
        for name in ["c", "B", "a"] { try await store.add(Self.user(name)) }
        try await store.add(Self.user("z", "abc"))
        let first = try await store.users(of: "acme", after: nil, limit: 2)
        try expect(first.map(\.owner.userID) == ["B", "a"], "by bytes: \(first.map(\.owner.userID))")
        let rest = try await store.users(of: "acme", after: first.last?.owner, limit: 2)
        try expect(rest.map(\.owner.userID) == ["c"], "the rest: \(rest.map(\.owner.userID))")
        let all = try await second.users(of: nil, after: Self.owner("z", "abc"), limit: 10)
        try expect(all.map(\.owner.userID) == ["B", "a", "c"], "of all tenants: \(all.map(\.owner.userID))")
        try expect(try await store.users(of: "none", after: nil, limit: 10).isEmpty, "no such tenant")
    }

    private func keepsKeys() async throws {
        try expect(try await store.key("k1") == nil, "no key yet")
        try await store.add(Self.user("alice"))
        try await store.add(Self.key("k1", Self.owner("alice")))
        try await expect(.exists) { () throws(StoreError) in
            try await store.add(Self.key("k1", Self.owner("bob")))
        }
        let found = try await second.key("k1")
        try expect(found?.key == Self.key("k1", Self.owner("alice")), "the key as it was made")
        try expect(found?.user == Self.user("alice"), "and its user")
        try await store.add(Self.key("k0", Self.owner("nobody", "other")))
        let orphan = try await second.key("k0")
        try expect(orphan != nil && orphan?.user == nil, "a key without a user")
        try expect(try await store.keys(of: "acme", after: nil, limit: 9).map(\.id) == ["k1"], "of one tenant")
        try expect(try await store.keys(of: nil, after: "k0", limit: 9).map(\.id) == ["k1"], "behind a key")
        try expect(try await store.keys(of: nil, after: nil, limit: 1).map(\.id) == ["k0"], "so many")
    }

    private func revokes() async throws {
        try await expect(.notFound) { () throws(StoreError) in
            try await store.revokeKey("k1", at: Timestamp(milliseconds: 1))
        }
        try await store.add(Self.key("k1", Self.owner("alice")))
        for time in [100, 200] { try await store.revokeKey("k1", at: Timestamp(milliseconds: Int64(time))) }
        let revoked = try await second.key("k1")?.key.revokedAt
        try expect(revoked == Timestamp(milliseconds: 100), "the first time counts: \(String(describing: revoked))")
    }

    private func notesUses() async throws {
        for id in ["k1", "k2"] { try await store.add(Self.key(id, Self.owner("alice"))) }
        try await store.noteUse(of: ["k1": Timestamp(milliseconds: 50), "gone": Timestamp(milliseconds: 50)])
        try await second.noteUse(of: ["k1": Timestamp(milliseconds: 40), "k2": Timestamp(milliseconds: 60)])
        let times = try await store.keys(of: nil, after: nil, limit: 9).map { $0.lastUsedAt?.milliseconds }
        try expect(times == [50, 60], "the uses are \(times)")
    }

    private func removesUsers() async throws {
        for name in ["alice", "bob"] {
            try await store.add(Self.user(name))
            try await store.add(Self.key("k-\(name)", Self.owner(name)))
        }
        for _ in 1...2 { try await store.removeUser(Self.owner("alice")) }
        try expect(try await second.user(Self.owner("alice")) == nil, "alice is gone")
        try expect(try await second.key("k-alice") == nil, "and so is her key")
        try expect(try await second.key("k-bob")?.user == Self.user("bob"), "bob is not")
    }
}
