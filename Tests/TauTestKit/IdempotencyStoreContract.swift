public import TauCore

/// What every store of idempotency keys must do; each store's tests run all of it.
public struct IdempotencyStoreContract: Sendable, Contract {
    private let store: any IdempotencyStore
    private let accounts: any AccountStore

    /// `accounts` are those of the keys' owners.
    public init(store: any IdempotencyStore, accounts: any AccountStore) {
        self.store = store
        self.accounts = accounts
    }

    /// All promises, by name.
    public static let promises: [(name: String, check: @Sendable (IdempotencyStoreContract) async throws -> Void)] = [
        ("what was answered is answered so again", { try await $0.answersAgain() }),
        ("a key stands for one request", { try await $0.refusesOthers() }),
        ("what was neither settled nor released is given again, as a repeat", { try await $0.repeats() }),
        ("what was certainly not done is forgotten", { try await $0.forgets() }),
        ("a key is one owner's", { try await $0.keepsOwnersApart() }),
        ("a key is free again after a day", { try await $0.expires() }),
        ("a user takes the keys along", { try await $0.goesWithTheUser() }),
        ("many claims at once are all answered", { try await $0.claimsMany() }),
    ]

    private static let start: Int64 = 1_800_000_000_000

    private static func key(_ text: String, of user: String = "alice") -> IdempotencyKey {
        IdempotencyKey(owner: Owner(tenantID: "acme", userID: user), text: text)
    }

    private static func attempt(_ id: String, at time: Int64 = start) -> RequestAttempt {
        RequestAttempt(id: id, time: Timestamp(milliseconds: time), isRepeat: false)
    }

    private func claim(
        _ key: IdempotencyKey, _ id: String, at time: Int64 = start, fingerprint: [UInt8] = [1, 0, 255]
    ) async throws -> IdempotencyClaim {
        try await store.claim(key, fingerprint: fingerprint, attempt: Self.attempt(id, at: time))
    }

    private func expectGranted(_ claim: IdempotencyClaim, _ id: String, isRepeat: Bool) throws {
        guard case .granted(let attempt) = claim else { throw BrokenPromise(description: "not granted: \(claim)") }
        try expect(attempt.id == id && attempt.isRepeat == isRepeat, "\(attempt)")
    }

    private func answersAgain() async throws {
        try expectGranted(try await claim(Self.key("k"), "a"), "a", isRepeat: false)
        let answer = Array(#"{"body": "\u0000 ☕"}"#.utf8)
        try await store.settle(Self.key("k"), answer: answer)
        for _ in 0..<2 { try expect(try await claim(Self.key("k"), "b") == .answered(answer), "the same answer") }
    }

    private func refusesOthers() async throws {
        try expectGranted(try await claim(Self.key("k"), "a"), "a", isRepeat: false)
        try expect(try await claim(Self.key("k"), "b", fingerprint: [2]) == .otherRequest, "while at work")
        try await store.settle(Self.key("k"), answer: [123, 125])
        try expect(try await claim(Self.key("k"), "b", fingerprint: [2]) == .otherRequest, "and when answered")
    }

    private func repeats() async throws {
        try expectGranted(try await claim(Self.key("k"), "a"), "a", isRepeat: false)
        let again = try await claim(Self.key("k"), "b", at: Self.start + 5)
        try expectGranted(again, "a", isRepeat: true)
        try expect(
            again
                == .granted(
                    RequestAttempt(
                        id: "a", time: Timestamp(milliseconds: Self.start), isRepeat: true)), "its first time")
        try await store.release(Self.key("k"), forgotten: false)
        try expectGranted(try await claim(Self.key("k"), "c"), "a", isRepeat: true)
    }

    private func forgets() async throws {
        try expectGranted(try await claim(Self.key("k"), "a"), "a", isRepeat: false)
        try await store.release(Self.key("k"), forgotten: true)
        try expectGranted(try await claim(Self.key("k"), "b", fingerprint: [2]), "b", isRepeat: false)
    }

    private func keepsOwnersApart() async throws {
        try expectGranted(try await claim(Self.key("k"), "a"), "a", isRepeat: false)
        try expectGranted(try await claim(Self.key("k", of: "bob"), "b"), "b", isRepeat: false)
    }

    private func expires() async throws {
        try expectGranted(try await claim(Self.key("k"), "a"), "a", isRepeat: false)
        try await store.settle(Self.key("k"), answer: [123, 125])
        let end = Self.start + IdempotencyKey.lifetime
        try expect(try await claim(Self.key("k"), "b", at: end) == .answered([123, 125]), "for the whole day")
        try expectGranted(try await claim(Self.key("k"), "c", at: end + 1), "c", isRepeat: false)
        try expectGranted(try await claim(Self.key("k"), "d", at: end + 2), "c", isRepeat: true)
    }

    private func goesWithTheUser() async throws {
        for user in ["alice", "bob"] {
            try expectGranted(try await claim(Self.key("k", of: user), "a"), "a", isRepeat: false)
        }
        try await accounts.removeUser(Self.key("k").owner)
        try expectGranted(try await claim(Self.key("k"), "b"), "b", isRepeat: false)
        try expectGranted(try await claim(Self.key("k", of: "bob"), "b"), "a", isRepeat: true)
    }

    private func claimsMany() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<100 {
                group.addTask {
                    let key = Self.key("k\(number)")
                    try expectGranted(try await claim(key, "a\(number)"), "a\(number)", isRepeat: false)
                    try await store.settle(key, answer: Array("{\"n\":\(number)}".utf8))
                }
            }
            try await group.waitForAll()
        }
        for number in 0..<100 {
            let again = try await claim(Self.key("k\(number)"), "b")
            try expect(again == .answered(Array("{\"n\":\(number)}".utf8)), "\(number): \(again)")
        }
    }
}
