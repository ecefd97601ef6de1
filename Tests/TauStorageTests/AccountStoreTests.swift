import Foundation
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

    /// Begins to write into a new file and goes on when it is told to.
    private static let otherProcess = """
        import sqlite3, sys
        file = sqlite3.connect(sys.argv[1], isolation_level=None)
        file.execute("BEGIN IMMEDIATE")
        print("writing", flush=True)
        sys.stdin.readline()
        file.execute("COMMIT")
        """

    @Test func `a new file that another process begins to write is waited for`() async throws {
        for _ in 0..<10 {
            let directory = try StoreDirectory()
            let other = Process()
            other.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
            other.arguments = ["-c", Self.otherProcess, directory.accountsPath]
            let (input, output) = (Foundation.Pipe(), Foundation.Pipe())
            (other.standardInput, other.standardOutput) = (input, output)
            try other.run()
            #expect(!output.fileHandleForReading.availableData.isEmpty)
            let accounts = AccountDatabase(path: directory.accountsPath, threads: BlockingThreads(count: 1))
            async let keys = accounts.keys(of: nil, after: nil, limit: 1)
            // The file is open here, too; a moment later it is found to be in use.
            let deadline = ContinuousClock.now + .seconds(10)
            while !Self.hasOpen(directory.accountsPath), ContinuousClock.now < deadline { await Task.yield() }
            for _ in 0..<1000 { await Task.yield() }
            try input.fileHandleForWriting.write(contentsOf: Data("go on\n".utf8))
            #expect(try await keys.isEmpty)
            other.waitUntilExit()
            try await accounts.close()
        }
    }

    private static func hasOpen(_ path: String) -> Bool {
        let files = "/proc/self/fd"
        let name = "/" + (path.split(separator: "/").last ?? "")
        return ((try? FileManager.default.contentsOfDirectory(atPath: files)) ?? []).contains {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(files)/\($0)"))?.hasSuffix(name) == true
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
