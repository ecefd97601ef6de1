import Foundation
import Logging
import TauCore
import TauRuntime
import TauSystem
import TauTestKit
import Testing

@testable import TauStorage

/// What every store of runs has to do, over each of them.
@Suite(.timeLimit(.minutes(1))) struct RunStoreTests {
    enum Kind: CaseIterable { case memory, database }

    /// A store with room for five ended runs.
    static func store(_ kind: Kind, _ directory: StoreDirectory) -> any RunStore {
        switch kind {
        case .memory: MemoryRunStore(maxRecords: 5)
        case .database: database(directory)
        }
    }

    static func database(_ directory: StoreDirectory, maxRecords: Int = 5) -> RunDatabase {
        RunDatabase(
            path: directory.path + "/runs.sqlite", maxRecords: maxRecords, threads: BlockingThreads(count: 2),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    static func record(_ number: Int, _ status: Run.Status, session: String = "s") -> RunRecord {
        let digits = String(number)
        let id = "r" + String(repeating: "0", count: 6 - digits.count) + digits
        return RunRecord(
            run: Run(
                id: RunID(unchecked: id), sessionID: SessionID(unchecked: session), status: status,
                createdAt: Timestamp(milliseconds: Int64(number)), model: ModelReference(provider: "p", id: "m"),
                leafID: nil, node: "n"))
    }

    @Test(arguments: Kind.allCases)
    func `the last state of a run is the one that is remembered`(_ kind: Kind) async throws {
        let directory = try StoreDirectory()
        let store = Self.store(kind, directory)
        #expect(try await store.unfinishedRecords().isEmpty)
        store.note(Self.record(1, .queued))
        store.note(Self.record(1, .running))
        try await store.save(Self.record(2, .waiting))
        store.note(Self.record(3, .running, session: "other"))
        #expect(try await store.record(of: RunID(unchecked: "r000001"))?.run.status == .running)
        #expect(try await store.record(of: RunID(unchecked: "r9")) == nil)
        #expect(try await store.unfinishedRecords().map(\.run.id.rawValue) == ["r000001", "r000002", "r000003"])
        store.note(Self.record(1, .completed))
        #expect(try await store.unfinishedRecords().map(\.run.id.rawValue) == ["r000002", "r000003"])
        let session = SessionID(unchecked: "s")
        #expect(try await store.records(of: session, limit: 10).map(\.run.id.rawValue) == ["r000002", "r000001"])
        #expect(try await store.records(of: session, limit: 1).map(\.run.id.rawValue) == ["r000002"])
        try await store.removeRecords(of: session)
        #expect(try await store.records(of: session, limit: 10).isEmpty)
        #expect(try await store.unfinishedRecords().map(\.run.id.rawValue) == ["r000003"])
    }

    @Test(arguments: Kind.allCases)
    func `the oldest ended runs are forgotten first, and those at work never`(_ kind: Kind) async throws {
        let directory = try StoreDirectory()
        let store = Self.store(kind, directory)
        store.note(Self.record(0, .running))
        for number in 1...600 { store.note(Self.record(number, .completed)) }
        let first = try await store.records(of: SessionID(unchecked: "s"), limit: 10_000)
        // A database cleans up now and then.
        for number in 601...1200 { store.note(Self.record(number, .completed)) }
        let left = try await store.records(of: SessionID(unchecked: "s"), limit: 10_000).map(\.run.id.rawValue)
        #expect(first.count <= 601)
        #expect(left.first == "r001200")
        #expect(left.last == "r000000")
        #expect(left.count <= 606)
    }

    @Test func `another process finds what was noted`() async throws {
        let directory = try StoreDirectory()
        let first = Self.database(directory)
        first.note(Self.record(1, .running))
        try await first.save(Self.record(2, .waiting))
        let second = Self.database(directory)
        #expect(try await second.unfinishedRecords().map(\.run.id.rawValue) == ["r000001", "r000002"])
        second.note(Self.record(2, .completed))
        try await second.close()
        #expect(try await first.record(of: RunID(unchecked: "r000002"))?.run.status == .completed)
        try await first.close()
    }

    @Test func `a file that is no database is told, and left as it is`() async throws {
        let directory = try StoreDirectory()
        let text = "this is not a database, and somebody may want it back"
        let file = URL(fileURLWithPath: directory.path + "/runs.sqlite")
        try Data(text.utf8).write(to: file)
        let store = Self.database(directory)
        let failure = await #expect(throws: StoreError.self) { try await store.unfinishedRecords() }
        #expect(failure?.message.contains("runs.sqlite") == true)
        #expect(try Data(contentsOf: file) == Data(text.utf8))
    }
}
