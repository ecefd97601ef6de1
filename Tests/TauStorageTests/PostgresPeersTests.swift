import Foundation
import Glibc
import Logging
import Synchronization
import TauCore
import TauPostgres
import TauTestKit
import Testing

@testable import TauStorage

/// Several servers on one database, as the stores see it.
@Suite(.ownThreads, .timeLimit(.minutes(3))) struct PostgresPeersTests {
    private static func run(_ number: Int, _ status: Run.Status, session: String = "s") -> RunRecord {
        RunStoreTests.record(number, status, session: session)
    }

    /// Runs `body` while the server hears others; `handle` does what they ask.
    private func serving(
        _ storage: PostgresStorage, handle: @escaping @Sendable (PeerRequest) async -> Void,
        _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await storage.peers.serve(handle) }
            group.addTask {
                await storage.peers.untilListening()
                try await body()
            }
            group.addTask { await storage.maintain() }
            // The body ends first: the others work until they are cancelled.
            try await group.next()
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    @Test func `an idle session is handed over, one at work is not`() async throws {
        let database = try await TestDatabase()
        let (first, second) = (try await database.storage("first"), try await database.storage("second"))
        let (idle, busy) = (SessionStoreContract.file("idle", ["a"]), SessionStoreContract.file("busy", ["a"]))
        try await first.sessions.create(idle)
        try await first.sessions.create(busy)
        try await serving(first) { request in
            if request == .release(idle.header.id) { await first.sessions.close(idle.header.id) }
        } _: {
            try await serving(second) { _ in
            } _: {
                #expect(try await second.sessions.open(idle.header.id).entries.count == 1)
                let refusal = await #expect(throws: StoreError.self) { try await second.sessions.open(busy.header.id) }
                #expect(refusal?.code == .leased)
                // The first one writes on where it is at work, and not where it is not.
                let next = SessionStoreContract.entry("b", after: busy.entries[0])
                try await first.sessions.append([next], to: busy.header.id, after: busy.entries[0].id)
                let refused = await #expect(throws: StoreError.self) {
                    try await first.sessions.append([next], to: idle.header.id, after: idle.entries[0].id)
                }
                #expect(refused?.code == .conflict)
            }
        }
        try await first.close()
        try await second.close()
    }

    @Test func `a session that is read on one server shows what another one writes`() async throws {
        let database = try await TestDatabase()
        let (first, second) = (try await database.storage("first"), try await database.storage("second"))
        let file = SessionStoreContract.file("one", ["a"])
        try await first.sessions.create(file)
        let next = SessionStoreContract.entry("b", after: file.entries[0])
        try await first.sessions.append([next], to: file.header.id, after: file.entries[0].id)
        #expect(try await second.sessions.read(file.header.id).entries.map(\.id) == [file.entries[0].id, next.id])
        try await first.close()
        try await second.close()
    }

    @Test func `a server that is not heard of loses its sessions, and an append under its epoch is refused`()
        async throws
    {
        let database = try await TestDatabase()
        let (first, second) = (try await database.storage("first"), try await database.storage("second"))
        let file = SessionStoreContract.file("one", ["a"])
        try await first.sessions.create(file)
        first.runs.note(Self.run(1, .running))
        try await first.runs.save(Self.run(2, .completed))
        #expect(try await second.runs.unfinishedRecords().isEmpty)
        _ = try await database.query("UPDATE servers SET expires_at = now() - interval '1 s' WHERE name = 'first'")
        _ = try await second.sessions.open(file.header.id)
        let next = SessionStoreContract.entry("b", after: file.entries[0])
        let refusal = await #expect(throws: StoreError.self) {
            try await first.sessions.append([next], to: file.header.id, after: file.entries[0].id)
        }
        #expect(refusal?.code == .conflict)
        try await second.sessions.append([next], to: file.header.id, after: file.entries[0].id)
        // Its runs are given to one of those that ask, once.
        let third = try await database.storage("third")
        let taken = [try await second.runs.unfinishedRecords(), try await third.runs.unfinishedRecords()]
        #expect(taken.map { $0.map(\.run.id.rawValue) } == [["r000001"], []])
        // The first one learns it.
        let forgotten = AsyncStream.makeStream(of: PeerRequest.self)
        try await serving(first) { request in
            forgotten.continuation.yield(request)
        } _: {
            try await first.peers.renewLeases()
            for await request in forgotten.stream where request == .forget(file.header.id) { break }
        }
        for storage in [first, second, third] { try await storage.close() }
    }

    @Test func `a request to stop a run reaches its server`() async throws {
        let database = try await TestDatabase()
        let (first, second) = (try await database.storage("first"), try await database.storage("second"))
        try await first.sessions.create(SessionStoreContract.file("s"))
        try await first.runs.save(Self.run(1, .running))
        let asked = AsyncStream.makeStream(of: PeerRequest.self)
        try await serving(first) { request in
            asked.continuation.yield(request)
        } _: {
            let id = RunID(unchecked: "r000001")
            try await second.peers.cancel(id)
            for await request in asked.stream where request == .cancel(id) { break }
            let session = SessionID(unchecked: "s")
            #expect(try await second.runs.activeRuns(of: [session]) == [session: id])
        }
        try await first.close()
        try await second.close()
    }

    @Test func `a server that ends frees its sessions at once`() async throws {
        let database = try await TestDatabase()
        let (first, second) = (try await database.storage("first"), try await database.storage("second"))
        let file = SessionStoreContract.file("one", ["a"])
        try await first.sessions.create(file)
        try await first.close()
        _ = try await second.sessions.open(file.header.id)
        try await second.close()
    }

    @Test(arguments: ["release 0123", "release \(String(repeating: "g", count: 32)) s", "cancel", "", "answered /"])
    func `what no server has sent is not understood`(_ text: String) {
        #expect(PeerMessages.message(text) == nil)
    }

    @Test func `messages come out as they went in`() {
        let server = (0..<16).map { UInt8($0 * 17) }
        for message in [
            PeerMessages.Message.release(server: server, session: SessionID(unchecked: "a-b")),
            .answered(SessionID(unchecked: "x")), .cancel(RunID(unchecked: "r")),
        ] { #expect(PeerMessages.message(PeerMessages.text(of: message)) == message) }
    }
}
