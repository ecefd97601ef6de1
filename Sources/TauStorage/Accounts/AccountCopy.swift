package import TauCore

/// Copies users and keys from one store to another. What is there already stays as it is.
package struct AccountCopy: Sendable {
    private let source: any AccountStore
    private let target: any AccountStore

    package init(from source: any AccountStore, to target: any AccountStore) {
        self.source = source
        self.target = target
    }

    private static let page = 500

    /// Answers how many users and keys were copied.
    package func run() async throws(StoreError) -> (users: Int, keys: Int) {
        var copied = (users: 0, keys: 0)
        var owner: Owner?
        while true {
            let users = try await source.users(of: nil, after: owner, limit: Self.page)
            for user in users where try await add({ () throws(StoreError) in try await target.add(user) }) {
                copied.users += 1
            }
            guard let last = users.last else { break }
            owner = last.owner
        }
        var id: String?
        while true {
            let keys = try await source.keys(of: nil, after: id, limit: Self.page)
            for key in keys where try await copy(key) { copied.keys += 1 }
            guard let last = keys.last else { return copied }
            id = last.id
        }
    }

    private func copy(_ key: APIKey) async throws(StoreError) -> Bool {
        let isNew = try await add { () throws(StoreError) in try await target.add(key) }
        // Also where it was copied before: a key that was revoked since must not live on.
        if let time = key.revokedAt { try await target.revokeKey(key.id, at: time) }
        if let time = key.lastUsedAt { try await target.noteUse(of: [key.id: time]) }
        return isNew
    }

    private func add(_ body: () async throws(StoreError) -> Void) async throws(StoreError) -> Bool {
        do throws(StoreError) {
            try await body()
            return true
        } catch {
            guard error.code == .exists else { throw error }
            return false
        }
    }
}
