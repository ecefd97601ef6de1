import Foundation
import Logging
import TauCore
import TauPostgres
import TauSystem
import TauTestKit
import Testing

@testable import TauStorage

@Suite(.ownThreads, .timeLimit(.minutes(2))) struct PostgresRunStoreTests {
    private static let session = SessionID(unchecked: "s")

    @Test func `the last state of a run is the one that is remembered`() async throws {
        let database = try await TestDatabase()
        let storage = try await database.storage()
        let runs = storage.runs
        runs.note(RunStoreTests.record(1, .queued))
        runs.note(RunStoreTests.record(1, .running))
        try await runs.save(RunStoreTests.record(2, .waiting))
        runs.note(RunStoreTests.record(3, .running, session: "other"))
        #expect(try await runs.record(of: RunID(unchecked: "r000001"))?.run.status == .running)
        #expect(try await runs.record(of: RunID(unchecked: "r9")) == nil)
        #expect(try await runs.records(of: Self.session, limit: 10).map(\.run.id.rawValue) == ["r000002", "r000001"])
        #expect(try await runs.records(of: Self.session, limit: 1).map(\.run.id.rawValue) == ["r000002"])
        runs.note(RunStoreTests.record(2, .completed))
        try await runs.removeRecords(of: SessionID(unchecked: "other"))
        #expect(try await runs.records(of: SessionID(unchecked: "other"), limit: 10).isEmpty)
        #expect(try await runs.record(of: RunID(unchecked: "r000002"))?.run.status == .completed)
        try await storage.close()
    }

    @Test func `the oldest ended runs are forgotten first, and those at work never`() async throws {
        let database = try await TestDatabase()
        let storage = try await database.storage()
        storage.runs.note(RunStoreTests.record(0, .running))
        for number in 1...30 { storage.runs.note(RunStoreTests.record(number, .completed)) }
        try await storage.runs.save(RunStoreTests.record(31, .completed))
        try await storage.runs.clean(keeping: 5)
        let left = try await storage.runs.records(of: Self.session, limit: 100).map(\.run.id.rawValue)
        #expect(left == (27...31).reversed().map { "r0000\($0)" } + ["r000000"])
        try await storage.close()
    }

    @Test func `the state of a run goes with the append behind it, in one transaction`() async throws {
        let database = try await TestDatabase()
        let storage = try await database.storage { $0.batch.noteMilliseconds = 100_000 }
        let file = SessionStoreContract.file("s", ["a"])
        try await storage.sessions.create(file)
        storage.runs.note(RunStoreTests.record(1, .running))
        let next = SessionStoreContract.entry("b", after: file.entries[0])
        try await storage.sessions.append([next], to: Self.session, after: file.entries[0].id)
        let same = try await database.query(
            "SELECT runs.xmin = head.xmin FROM runs, session_heads AS head WHERE runs.id = 'r000001'")
        #expect(try same.rows[0].bool(0))
        try await storage.close()
    }

    @Test func `the state that an append carries is stored with it or not at all, and replaces what was noted before`()
        async throws
    {
        let database = try await TestDatabase()
        let storage = try await database.storage { $0.batch.noteMilliseconds = 100_000 }
        let file = SessionStoreContract.file("s", ["a"])
        try await storage.sessions.create(file)
        let next = SessionStoreContract.entry("b", after: file.entries[0])
        storage.runs.note(RunStoreTests.record(1, .running))
        try await storage.sessions.append(
            [next], to: Self.session, after: file.entries[0].id,
            runs: [
                RunStoreTests.record(1, .waiting), RunStoreTests.record(1, .completed),
                RunStoreTests.record(2, .failed),
            ])
        let stored = try await database.query(
            """
            SELECT string_agg(runs.id || ' ' || status, ',' ORDER BY runs.id), bool_and(runs.xmin = head.xmin)
            FROM runs, session_heads AS head
            """)
        #expect(try stored.rows[0].text(0) == "r000001 completed,r000002 failed")
        #expect(try stored.rows[0].bool(1))

        let late = SessionStoreContract.entry("c", after: next)
        await #expect(throws: StoreError.self) {
            try await storage.sessions.append(
                [late], to: Self.session, after: file.entries[0].id, runs: [RunStoreTests.record(3, .completed)])
        }
        #expect(try await storage.runs.record(of: RunID(unchecked: "r000003")) == nil)
        try await storage.close()
    }

    @Test func `a server that starts again on its directory takes up what it has left, and waits for nothing`()
        async throws
    {
        let database = try await TestDatabase()
        let directory = try StoreDirectory()
        func storage() async throws -> PostgresStorage {
            let identity = try #require(ProcessIdentity(path: directory.path + "/server.id"))
            return try await database.storage { $0.identity = identity }
        }
        let file = SessionStoreContract.file("s", ["a"])
        let id: [UInt8]
        do {
            let first = try await storage()
            try await first.sessions.create(file)
            try await first.runs.save(RunStoreTests.record(1, .running))
            id = first.serverID
            #expect(ProcessIdentity(path: directory.path + "/server.id") == nil)
            await first.abandon()
        }
        let second = try await storage()
        #expect(second.serverID == id)
        #expect(try await second.runs.unfinishedRecords().map(\.run.id.rawValue) == ["r000001"])
        #expect(try await second.runs.unfinishedRecords().isEmpty)
        _ = try await second.sessions.open(file.header.id)
        try await second.close()
    }
}
