import TauCore
import TauSystem
import TauTestKit
import Testing

@testable import TauStorage

@Suite(.ownThreads, .timeLimit(.minutes(2))) struct AccountStoreTests {
    @Test(arguments: AccountStoreContract.promises.indices)
    func `a file keeps the promises of an account store`(_ index: Int) async throws {
        let directory = try StoreDirectory()
        let stores = (0..<2).map { _ in
            AccountDatabase(path: directory.accountsPath, threads: BlockingThreads(count: 2))
        }
        try await Self.check(index, stores[0], stores[1])
        for store in stores { try await store.close() }
    }

    @Test func `several that open a new file in the same moment all get it`() async throws {
        for _ in 0..<20 {
            let directory = try StoreDirectory()
            let stores = (0..<8).map { _ in
                AccountDatabase(path: directory.accountsPath, threads: BlockingThreads(count: 1))
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for store in stores { group.addTask { _ = try await store.keys(of: nil, after: nil, limit: 1) } }
                try await group.waitForAll()
            }
            for store in stores { try await store.close() }
        }
    }

    @Test(arguments: AccountStoreContract.promises.indices)
    func `a database keeps the promises of an account store`(_ index: Int) async throws {
        let database = try await TestDatabase()
        let first = try await database.storage()
        let second = try await database.storage()
        try await Self.check(index, first.accounts, second.accounts)
        try await first.close()
        try await second.close()
    }

    private static func check(_ index: Int, _ first: any AccountStore, _ second: any AccountStore) async throws {
        let promise = AccountStoreContract.promises[index]
        do {
            try await promise.check(AccountStoreContract(store: first, second: second))
        } catch let broken as BrokenPromise {
            Issue.record("\(promise.name): \(broken)")
        }
    }

    @Test func `what is named for nobody is the one's who runs the process, and needs no file`() async throws {
        let directory = try StoreDirectory()
        let accounts = AccountDatabase(path: directory.accountsPath, threads: BlockingThreads(count: 1))
        let id = SessionID(unchecked: "s")
        #expect(try accounts.owner(of: id) == .local)
        try accounts.setOwner(.local, of: id)
        #expect(try await accounts.key("unknown") == nil)
        #expect(!accounts.hasOwners)
        let alice = Owner(tenantID: "acme", userID: "alice")
        try accounts.setOwner(alice, of: id)
        #expect(try accounts.owner(of: id) == alice)
        // The one before is forgotten, whoever comes.
        try accounts.setOwner(.local, of: id)
        #expect(try accounts.owner(of: id) == .local)
        try await accounts.close()
    }

    @Test func `users and keys are copied, a second time only what is new, and what was revoked stays revoked`()
        async throws
    {
        let directories = [try StoreDirectory(), try StoreDirectory()]
        let stores = directories.map { AccountDatabase(path: $0.accountsPath, threads: BlockingThreads(count: 2)) }
        let owner = Owner(tenantID: "acme", userID: "alice")
        try await stores[0].add(
            User(owner: owner, role: .viewer, isDisabled: true, createdAt: Timestamp(milliseconds: 1)))
        for number in 0..<1100 {
            let key = APIKey(
                id: "k\(number)", owner: owner, scopes: .readRuns, digest: "d", createdAt: Timestamp(milliseconds: 2))
            try await stores[0].add(key)
        }
        try await stores[0].noteUse(of: ["k5": Timestamp(milliseconds: 9)])
        let copy = AccountCopy(from: stores[0], to: stores[1])
        #expect(try await copy.run() == (1, 1100))
        try await stores[0].revokeKey("k7", at: Timestamp(milliseconds: 5))
        #expect(try await copy.run() == (0, 0))
        for id in ["k5", "k7", "k1099"] {
            let (original, copied) = (try await stores[0].key(id), try await stores[1].key(id))
            #expect(original?.key == copied?.key && original?.user == copied?.user && copied != nil)
        }
        for store in stores { try await store.close() }
    }
}
