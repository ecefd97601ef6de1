internal import Synchronization
package import TauCore

/// Knows callers by the server's own admin key, by a key of the account store, or by a token of a trusted issuer.
///
/// What the store says of a key is believed for a few seconds, so that a request costs no question, and a revoked key is refused by
/// every server after that time at the latest.
package final class KeyAuthenticator: Authenticator {
    /// Its bounds.
    package struct Limits: Sendable {
        /// Milliseconds for which the store is not asked again (`auth.keyCacheMs`).
        package var keepMilliseconds: Int64 = 3000
        /// Keys that are remembered (`auth.maxCachedKeys`).
        package var maxKeys = 10_000

        package init() {}
    }

    private struct Known {
        var key: APIKey
        var principal: Principal?
    }

    private struct State {
        /// Users that tokens name; nil where there is no such user, who may be without being known.
        var users: [Owner: (value: User?, until: Int64)] = [:]
        /// By id; nil where there is no such key.
        var known: [String: (value: Known?, until: Int64)] = [:]
        /// Keys that were used since this was last written.
        var uses: [String: Timestamp] = [:]
    }

    private let adminKey: AdminKey
    /// Of whoever reads the metrics.
    private let metricsKey: AdminKey?
    private let accounts: (any AccountStore)?
    private let tokens: TokenAuthenticator?
    private let limits: Limits
    private let now: @Sendable () -> Timestamp
    /// For the age of what is remembered: milliseconds that only grow.
    private let uptime: @Sendable () -> Int64
    private let state = Mutex(State())

    package init(
        adminKey: AdminKey, metricsKey: AdminKey? = nil, accounts: (any AccountStore)?,
        tokens: TokenAuthenticator? = nil, limits: Limits = Limits(),
        now: @escaping @Sendable () -> Timestamp, uptime: @escaping @Sendable () -> Int64
    ) {
        self.adminKey = adminKey
        self.metricsKey = metricsKey
        self.accounts = accounts
        self.tokens = tokens
        self.limits = limits
        self.now = now
        self.uptime = uptime
    }

    package func principal(forBearer token: String) async throws(StoreError) -> Principal? {
        if adminKey.matches(token) { return .operatorOfServer }
        if metricsKey?.matches(token) == true { return .metricsReader }
        guard let accounts else { return nil }
        guard let text = APIKeyText(parsing: token) else { return try await principal(forToken: token, accounts) }
        // Before it is known whether there is such a key, so that both cases take the same time.
        let digest = text.digest
        let known = try await known(text.id, accounts)
        guard let known, APIKeyText.areEqual(known.key.digest, digest), let principal = known.principal else {
            return nil
        }
        let time = now()
        if let end = known.key.expiresAt, time >= end { return nil }
        state.withLock { $0.uses[text.id] = time }
        return principal
    }

    /// Who was disabled here is out, whatever the issuer says; a role that was given here bounds the one of the token.
    private func principal(
        forToken token: String, _ accounts: any AccountStore
    ) async throws(StoreError) -> Principal? {
        guard var principal = await tokens?.principal(forToken: token) else { return nil }
        guard let user = try await user(principal.owner, accounts) else { return principal }
        guard !user.isDisabled else { return nil }
        principal.scopes.formIntersection(user.role.scopes)
        return principal
    }

    private func user(_ owner: Owner, _ accounts: any AccountStore) async throws(StoreError) -> User? {
        let time = uptime()
        if let entry = state.withLock({ $0.users[owner] }), entry.until > time { return entry.value }
        let found = try await accounts.user(owner)
        state.withLock { state in
            if state.users.count >= limits.maxKeys { state.users = [:] }
            state.users[owner] = (found, time + limits.keepMilliseconds)
        }
        return found
    }

    private func known(_ id: String, _ accounts: any AccountStore) async throws(StoreError) -> Known? {
        let time = uptime()
        if let entry = state.withLock({ $0.known[id] }), entry.until > time { return entry.value }
        let found = try await accounts.key(id).map { key, user in
            Known(key: key, principal: Self.principal(key, user))
        }
        state.withLock { state in
            if state.known.count >= limits.maxKeys { state.known = state.known.filter { $0.value.until > time } }
            // Full of fresh ones, it begins anew: that costs questions, and nothing else.
            if state.known.count >= limits.maxKeys { state.known = [:] }
            state.known[id] = (found, time + limits.keepMilliseconds)
        }
        return found
    }

    /// Nil for a key that is not valid, whoever shows it.
    private static func principal(_ key: APIKey, _ user: User?) -> Principal? {
        guard key.revokedAt == nil else { return nil }
        // The one who runs the server needs no row.
        let role = user?.role ?? (key.owner == .local ? Role.admin : nil)
        guard let role, user?.isDisabled != true else { return nil }
        return Principal(
            owner: key.owner, role: role, scopes: key.scopes.intersection(role.scopes), keyID: key.id)
    }

    /// Asks the store again for everything: accounts were changed here.
    package func forgetKnown() {
        state.withLock { state in
            state.known = [:]
            state.users = [:]
        }
    }

    /// Writes down which keys were used since the last time.
    package func flushUses() async throws(StoreError) {
        let uses = state.withLock { state in
            defer { state.uses = [:] }
            return state.uses
        }
        guard !uses.isEmpty, let accounts else { return }
        try await accounts.noteUse(of: uses)
    }
}
