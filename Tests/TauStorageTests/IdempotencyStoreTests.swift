import TauCore
import TauSystem
import TauTestKit
import Testing

@testable import TauStorage

@Suite(.ownThreads, .timeLimit(.minutes(2))) struct IdempotencyStoreTests {
    private static let key = IdempotencyKey(owner: Owner(tenantID: "acme", userID: "alice"), text: "k")

    private static func attempt(_ id: String, at time: Int64 = 5) -> RequestAttempt {
        RequestAttempt(id: id, time: Timestamp(milliseconds: time), isRepeat: false)
    }

    private static func check(_ index: Int, _ store: any IdempotencyStore, _ accounts: any AccountStore) async throws {
        let promise = IdempotencyStoreContract.promises[index]
        do {
            try await promise.check(IdempotencyStoreContract(store: store, accounts: accounts))
        } catch let broken as BrokenPromise {
            Issue.record("\(promise.name): \(broken)")
        }
    }

    @Test(arguments: IdempotencyStoreContract.promises.indices)
    func `a file keeps the promises of a store of keys`(_ index: Int) async throws {
        let directory = try StoreDirectory()
        let accounts = AccountDatabase(path: directory.accountsPath, threads: BlockingThreads(count: 2))
        try await Self.check(index, accounts.idempotency, accounts)
        try await accounts.close()
    }

    @Test(arguments: IdempotencyStoreContract.promises.indices)
    func `a database keeps the promises of a store of keys`(_ index: Int) async throws {
        let database = try await TestDatabase()
        let storage = try await database.storage()
        try await Self.check(index, storage.idempotency, storage.accounts)
        try await storage.close()
    }

    @Test func `a file knows its keys after a restart, and drops the oldest beyond its bound`() async throws {
        let directory = try StoreDirectory()
        func accounts() -> AccountDatabase {
            AccountDatabase(path: directory.accountsPath, maxIdempotencyKeys: 3, threads: BlockingThreads(count: 2))
        }
        let first = accounts()
        for number in 0..<501 {
            var key = Self.key
            key.text = "k\(number)"
            let attempt = Self.attempt("a\(number)", at: Int64(number))
            #expect(try await first.idempotency.claim(key, fingerprint: [1], attempt: attempt) == .granted(attempt))
        }
        try await first.close()
        let second = accounts()
        var isRepeat: [Bool] = []
        for number in [490, 499, 500] {
            var key = Self.key
            key.text = "k\(number)"
            let claim = try await second.idempotency.claim(
                key, fingerprint: [1], attempt: Self.attempt("new", at: 600))
            guard case .granted(let attempt) = claim else {
                Issue.record("\(claim)")
                continue
            }
            isRepeat.append(attempt.isRepeat)
        }
        #expect(isRepeat == [false, true, true])
        try await second.close()
    }

    @Test func `a key is one server's, until that one is not heard of any more`() async throws {
        let database = try await TestDatabase()
        let first = try await database.storage()
        let second = try await database.storage()
        let third = try await database.storage { $0.leaseSeconds = 1 }
        func claim(_ storage: PostgresStorage, _ id: String) async throws -> IdempotencyClaim {
            try await storage.idempotency.claim(Self.key, fingerprint: [1], attempt: Self.attempt(id))
        }
        #expect(try await claim(third, "a") == .granted(Self.attempt("a")))
        #expect(try await claim(first, "b") == .inProgress)
        await third.abandon()
        // It is heard of for a second more.
        var claimed = try await claim(first, "b")
        while claimed == .inProgress { claimed = try await claim(first, "b") }
        let taken = RequestAttempt(id: "a", time: Self.attempt("a").time, isRepeat: true)
        #expect(claimed == .granted(taken))
        #expect(try await claim(second, "c") == .inProgress)
        // Of what is not its own any more a server changes nothing.
        try await second.idempotency.settle(Self.key, answer: [1])
        try await second.idempotency.release(Self.key, forgotten: true)
        #expect(try await claim(second, "c") == .inProgress)
        try await first.idempotency.release(Self.key, forgotten: false)
        #expect(try await claim(second, "c") == .granted(taken))
        try await second.idempotency.settle(Self.key, answer: [1])
        #expect(try await claim(first, "d") == .answered([1]))
        // Late, and too late.
        try await first.idempotency.settle(Self.key, answer: [2])
        #expect(try await claim(first, "d") == .answered([1]))
        try await second.idempotency.clean(
            keeping: 10, at: Timestamp(milliseconds: 6 + IdempotencyKey.lifetime))
        #expect(try await claim(first, "d") == .granted(Self.attempt("d")))
        try await first.close()
        try await second.close()
    }
}
