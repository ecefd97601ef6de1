import Synchronization
import TauCore
import TauTestKit
import Testing

@testable import TauLimits

@Suite struct KeyAuthenticatorTests {
    /// Accounts in memory that count questions, and can be away.
    private final class Accounts: AccountStore {
        struct State {
            var users: [Owner: User] = [:]
            var keys: [String: APIKey] = [:]
            var questions = 0
            var uses: [[String: Timestamp]] = []
            var failure: StoreError?
        }
        let state = Mutex(State())

        func key(_ id: String) async throws(StoreError) -> (key: APIKey, user: User?)? {
            try state.withLock { state throws(StoreError) in
                state.questions += 1
                if let failure = state.failure { throw failure }
                return state.keys[id].map { ($0, state.users[$0.owner]) }
            }
        }

        func noteUse(of keys: [String: Timestamp]) async throws(StoreError) { state.withLock { $0.uses.append(keys) } }
        func revokeKey(_ id: String, at time: Timestamp) async throws(StoreError) {
            state.withLock { $0.keys[id]?.revokedAt = time }
        }
        func update(_ user: User) async throws(StoreError) { state.withLock { $0.users[user.owner] = user } }
        func add(_ user: User) async throws(StoreError) { state.withLock { $0.users[user.owner] = user } }
        func add(_ key: APIKey) async throws(StoreError) { state.withLock { $0.keys[key.id] = key } }
        func user(_ owner: Owner) async throws(StoreError) -> User? { state.withLock { $0.users[owner] } }
        func users(of tenantID: String?, after position: Owner?, limit: Int) async throws(StoreError) -> [User] { [] }
        func removeUser(_ owner: Owner) async throws(StoreError) {}
        func keys(of tenantID: String?, after position: String?, limit: Int) async throws(StoreError) -> [APIKey] { [] }
    }

    private struct Scene {
        let accounts = Accounts()
        let uptime = AtomicNumber()
        let time = AtomicNumber()
        let adminKey = "an-admin-key-of-enough-bytes"
        let authenticator: KeyAuthenticator

        init(maxKeys: Int = 100) throws {
            var limits = KeyAuthenticator.Limits()
            limits.keepMilliseconds = 3000
            limits.maxKeys = maxKeys
            authenticator = KeyAuthenticator(
                adminKey: try AdminKey(adminKey), accounts: accounts, limits: limits,
                now: { [time] in Timestamp(milliseconds: time.value) }, uptime: { [uptime] in uptime.value })
        }

        /// A user with a key.
        func add(
            _ name: String, _ role: Role = .user, scopes: Scopes? = nil, until end: Int64? = nil
        ) async throws -> String {
            let owner = Owner(tenantID: "acme", userID: name)
            try await accounts.add(User(owner: owner, role: role, createdAt: Timestamp(milliseconds: 0)))
            let text = APIKeyText.generate()
            try await accounts.add(
                APIKey(
                    id: text.id, owner: owner, scopes: scopes ?? role.scopes, digest: text.digest,
                    createdAt: Timestamp(milliseconds: 0), expiresAt: end.map { Timestamp(milliseconds: $0) }))
            return text.text
        }
    }

    private final class AtomicNumber: Sendable {
        private let number = Mutex<Int64>(0)
        var value: Int64 {
            get { number.withLock { $0 } }
            set { number.withLock { $0 = newValue } }
        }
    }

    @Test func `keys have an id and a secret of 256 bits, and only a hash is compared`() throws {
        let key = APIKeyText.generate()
        let again = try #require(APIKeyText(parsing: key.text))
        #expect(key.text.hasPrefix("tau_\(key.id)_") && again.id == key.id && again.digest == key.digest)
        #expect(key.id.utf8.count == 12 && key.secret.utf8.count == 43)
        #expect(!key.digest.contains(key.secret) && APIKeyText.generate().text != key.text)
        // Known from FIPS 180-2.
        #expect(
            APIKeyText.digest(of: "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        for wrong in [
            "", "tau", "tau_a", "tau__b", "tau_a_", "tau_a_b_c", "xau_a_b", " tau_a_b", "tau_a_" + "b".repeated(300),
        ] {
            #expect(APIKeyText(parsing: wrong) == nil, "\(wrong.prefix(20))")
        }
    }

    @Test func `a key lets in its owner with what key and role allow together`() async throws {
        let scene = try Scene()
        let user = try await scene.add("alice", .user, scopes: [.readRuns, .administer])
        let principal = try #require(try await scene.authenticator.principal(forBearer: user))
        #expect(principal.owner == Owner(tenantID: "acme", userID: "alice") && principal.role == .user)
        // A role that became less takes from the keys that were made before.
        #expect(principal.scopes == [.readRuns])
        #expect(principal.keyID == APIKeyText(parsing: user)?.id)
        let admin = try await scene.authenticator.principal(forBearer: scene.adminKey)
        #expect(admin == .operatorOfServer && admin?.scopes.contains(.operate) == true)
        let own = try #require(try await scene.authenticator.principal(forBearer: try await scene.add("root", .admin)))
        #expect(own.scopes.contains(.administer) && !own.scopes.contains(.operate))
    }

    @Test func `whatever is wrong with a key, nobody is let in`() async throws {
        let scene = try Scene()
        let key = try await scene.add("alice", until: 1000)
        let parsed = try #require(APIKeyText(parsing: key))
        let wrong = [
            "tau_\(parsed.id)_\(String(parsed.secret.dropLast()))x", "tau_\(parsed.id)_\(parsed.secret)x",
            "tau_unknown_\(parsed.secret)", key.uppercased(), parsed.digest, "tau_\(parsed.id)_\(parsed.digest)",
        ]
        for text in wrong { #expect(try await scene.authenticator.principal(forBearer: text) == nil, "\(text)") }
        scene.time.value = 999
        #expect(try await scene.authenticator.principal(forBearer: key) != nil)
        scene.time.value = 1000
        #expect(try await scene.authenticator.principal(forBearer: key) == nil)
    }

    @Test func `a revoked key and a disabled user are out when what is remembered is old, and here at once`()
        async throws
    {
        let scene = try Scene()
        let keys = [try await scene.add("alice"), try await scene.add("bob"), try await scene.add("carol")]
        for key in keys { #expect(try await scene.authenticator.principal(forBearer: key) != nil) }
        let id = try #require(APIKeyText(parsing: keys[0])?.id)
        try await scene.accounts.revokeKey(id, at: Timestamp(milliseconds: 1))
        var bob = try #require(try await scene.accounts.user(Owner(tenantID: "acme", userID: "bob")))
        bob.isDisabled = true
        try await scene.accounts.update(bob)
        scene.accounts.state.withLock { $0.users[Owner(tenantID: "acme", userID: "carol")] = nil }
        scene.uptime.value = 2999
        #expect(try await scene.authenticator.principal(forBearer: keys[0]) != nil)
        scene.uptime.value = 3000
        for key in keys { #expect(try await scene.authenticator.principal(forBearer: key) == nil) }
        let dora = try await scene.add("dora")
        #expect(try await scene.authenticator.principal(forBearer: dora) != nil)
        try await scene.accounts.revokeKey(APIKeyText(parsing: dora)?.id ?? "", at: Timestamp(milliseconds: 1))
        scene.authenticator.forgetKnown()
        #expect(try await scene.authenticator.principal(forBearer: dora) == nil)
    }

    @Test func `the store is asked once in a while, and where it cannot answer nobody is let in`() async throws {
        let scene = try Scene(maxKeys: 5)
        let key = try await scene.add("alice")
        for _ in 1...10 { _ = try await scene.authenticator.principal(forBearer: key) }
        for _ in 1...10 { _ = try await scene.authenticator.principal(forBearer: "tau_unknown_x") }
        #expect(scene.accounts.state.withLock { $0.questions } == 2)
        // However many are tried, what is remembered stays small.
        for number in 1...50 { _ = try await scene.authenticator.principal(forBearer: "tau_u\(number)_x") }
        scene.accounts.state.withLock { $0.failure = StoreError(.unavailable, "away") }
        scene.uptime.value = 10_000
        await #expect(throws: StoreError.self) { try await scene.authenticator.principal(forBearer: key) }
        #expect(try await scene.authenticator.principal(forBearer: scene.adminKey) != nil)
    }

    @Test func `when keys were used is written down once`() async throws {
        let scene = try Scene()
        let key = try await scene.add("alice")
        let id = try #require(APIKeyText(parsing: key)?.id)
        scene.time.value = 10
        _ = try await scene.authenticator.principal(forBearer: key)
        scene.time.value = 20
        _ = try await scene.authenticator.principal(forBearer: key)
        _ = try await scene.authenticator.principal(forBearer: "tau_\(id)_wrong")
        for _ in 1...2 { try await scene.authenticator.flushUses() }
        #expect(scene.accounts.state.withLock { $0.uses } == [[id: Timestamp(milliseconds: 20)]])
    }
}

extension String {
    fileprivate func repeated(_ count: Int) -> String { String(repeating: self, count: count) }
}
