import Foundation
import Logging
import TauCore
import TauObjects
import TauPostgres
import TauSystem
import TauTestKit
import Testing

@testable import TauStorage

/// Sessions between the tables and a bucket.
@Suite(.ownThreads, .timeLimit(.minutes(3))) struct ArchiveTests {
    struct Crash: Error {}

    /// A database and a directory as its bucket.
    final class Scene: Sendable {
        let database: TestDatabase
        let directory: StoreDirectory

        init() async throws {
            database = try await TestDatabase()
            directory = try StoreDirectory()
        }

        var url: String { "file://" + directory.path }

        /// Another server on the same database, with this bucket or with the directory.
        func storage(_ node: String, _ bucket: OpenBucket? = nil) async throws -> PostgresStorage {
            let bucket = try bucket ?? OpenBucket(url: url, threads: BlockingThreads(count: 2)) { _ in nil }
            return try await database.storage(node) { $0.archive = bucket }
        }

        /// As if nobody had appended for a month.
        func makeOld() async throws {
            _ = try await database.query("UPDATE sessions SET appended_at = now() - interval '31 days'")
            _ = try await database.query("UPDATE session_heads SET appended_at = now() - interval '31 days'")
        }

        var objects: [String] {
            let names = try? FileManager.default.contentsOfDirectory(atPath: directory.path + "/archives")
            return (names ?? []).sorted()
        }

        func count(_ table: String) async throws -> Int64 {
            try await database.query("SELECT count(*) FROM \(table)").rows[0].integer(0)
        }
    }

    static let file: SessionFile = {
        // More than one piece, with a line that is no entry and without a last line feed.
        var bytes = SessionContractFile.bytes
        bytes += Array("this is no entry \u{0}".utf8) + [0xFF, 0x0A]
        for number in 0..<200 {
            let entry = SessionStoreContract.entry("\(number)" + String(repeating: "x", count: 10_000), after: nil)
            bytes += Array(entry.line) + [0x0A]
        }
        bytes.removeLast()
        guard let file = try? SessionFile(parsing: bytes) else { preconditionFailure("Invariant: it is a session") }
        return file
    }()

    private enum SessionContractFile {
        static let bytes = SessionStoreContract.file("one", ["a", "words to find"]).bytes
    }

    @Test func `an archived session is listed, found and read as before, and comes back to be continued`() async throws
    {
        let scene = try await Scene()
        let storage = try await scene.storage("first")
        let file = Self.file
        let id = file.header.id
        try await storage.sessions.create(file)
        let archive = try #require(storage.sessions.archive)
        // Somebody has it open.
        let busy = await #expect(throws: StoreError.self) { try await archive.archive(id) }
        #expect(busy?.code == .leased)
        await storage.sessions.close(id)
        let before = try await storage.sessions.list(SessionQuery()).sessions
        try await archive.archive(id)
        try await archive.archive(id)
        #expect(scene.objects == ["one.jsonl"])
        #expect(try await scene.count("session_entries") == 0)
        #expect(try await scene.count("archive_garbage") == 0)
        #expect(try await storage.sessions.export(id).bytes() == file.bytes)
        #expect(try await storage.sessions.read(id).entries.count == file.entries.count)
        #expect(try await storage.sessions.summary(of: id).tier == .archived)
        let after = try await storage.sessions.list(SessionQuery(search: "WORDS fin")).sessions
        #expect(after.map(\.tier) == [.archived])
        #expect(after.map(\.entryCount) == before.map(\.entryCount))
        // Opened, it is in the tables again, and nowhere else.
        let opened = try await storage.sessions.open(id)
        #expect(opened.bytes == file.bytes + [0x0A] || opened.bytes == file.bytes)
        #expect(scene.objects.isEmpty)
        #expect(try await scene.count("archive_garbage") == 0)
        let next = SessionStoreContract.entry("next", after: nil)
        try await storage.sessions.append([next], to: id, after: file.entries.last?.id)
        #expect(
            try await storage.sessions.export(id).bytes() == file.bytes + [0x0A] + Array(next.line) + [0x0A])
        try await storage.close()
    }

    @Test(arguments: PostgresArchive.Step.allCases)
    func `wherever a server dies, the session is there, and another server finishes`(
        _ step: PostgresArchive.Step
    ) async throws {
        let scene = try await Scene()
        let (first, second) = (try await scene.storage("first"), try await scene.storage("second"))
        let file = Self.file
        let id = file.header.id
        try await first.sessions.create(file)
        await first.sessions.close(id)
        var archive = try #require(first.sessions.archive)
        if step == .fetched || step == .restored { try await archive.archive(id) }
        archive.crash = { reached throws(StoreError) in
            if reached == step { throw StoreError(.unavailable, "a crash") }
        }
        await #expect(throws: StoreError.self) {
            if step == .fetched || step == .restored {
                try await archive.restore(id)
            } else {
                try await archive.archive(id)
            }
        }
        // A dead server gives no lease back, and is not heard of any more.
        _ = try await scene.database.query(
            "UPDATE leases SET server_id = (SELECT id FROM servers WHERE name = 'first')")
        _ = try await scene.database.query(
            "UPDATE servers SET expires_at = now() - interval '1 s' WHERE name = 'first'")
        #expect(try await second.sessions.export(id).bytes() == file.bytes)
        let other = try #require(second.sessions.archive)
        try await scene.makeOld()
        let failures = AsyncStream.makeStream(of: StoreError.self)
        _ = try await other.sweep(afterDays: 30, isTrial: false) { _, _, _, error in
            if let error { failures.continuation.yield(error) }
        }
        failures.continuation.finish()
        for await failure in failures.stream { Issue.record("the sweep failed: \(failure)") }
        #expect(try await second.sessions.summary(of: id).tier == .archived)
        #expect(scene.objects == ["one.jsonl"])
        #expect(try await scene.count("archive_garbage") == 0)
        #expect(try await scene.count("session_entries") == 0)
        #expect(try await second.sessions.export(id).bytes() == file.bytes)
        try await second.sessions.delete(id)
        #expect(scene.objects.isEmpty)
        await #expect(throws: StoreError.self) { try await second.sessions.export(id) }
        try await first.close()
        try await second.close()
    }

    @Test func `an object that is not what was archived is told, and never taken for the session`() async throws {
        let scene = try await Scene()
        let storage = try await scene.storage("first")
        let file = Self.file
        let id = file.header.id
        try await storage.sessions.create(file)
        await storage.sessions.close(id)
        let archive = try #require(storage.sessions.archive)
        try await archive.archive(id)
        let path = scene.directory.path + "/archives/one.jsonl"
        var broken = file.bytes
        broken[broken.count / 2] ^= 1
        for content in [broken, Array(file.bytes.dropLast())] {
            try Data(content).write(to: URL(fileURLWithPath: path))
            await #expect(throws: StoreError.self) { try await storage.sessions.export(id).bytes() }
            await #expect(throws: StoreError.self) { try await storage.sessions.open(id) }
            await #expect(throws: StoreError.self) { try await storage.sessions.read(id) }
        }
        try Data(file.bytes).write(to: URL(fileURLWithPath: path))
        #expect(try await storage.sessions.open(id).entries.count == file.entries.count)
        try await storage.close()
    }

    @Test func `one server sweeps at a time, a trial moves nothing, and what is new stays`() async throws {
        let scene = try await Scene()
        let storage = try await scene.storage("first")
        for name in ["old", "new"] {
            let file = SessionStoreContract.file(name, ["a"])
            try await storage.sessions.create(file)
            await storage.sessions.close(file.header.id)
        }
        _ = try await scene.database.query(
            "UPDATE session_heads SET appended_at = now() - interval '40 days', is_stale = true WHERE session_id = (SELECT id FROM sessions WHERE public_id = 'old')"
        )
        // The list takes the time over.
        _ = try await storage.sessions.list(SessionQuery())
        _ = try await scene.database.query(
            "UPDATE sessions SET appended_at = now() - interval '40 days' WHERE public_id = 'old'")
        let archive = try #require(storage.sessions.archive)
        #expect(try await archive.sweep(afterDays: 30, isTrial: true) { _, _, _, _ in } == 1)
        #expect(scene.objects.isEmpty)
        let other = try await PostgresConnection.connect(PostgresConfiguration(url: scene.database.url))
        try await other.query("SELECT pg_advisory_lock(\(0x7461_7500_0000_0002))")
        #expect(try await archive.sweep(afterDays: 30, isTrial: false) { _, _, _, _ in } == nil)
        await other.close()
        var count: Int?
        while count == nil { count = try await archive.sweep(afterDays: 30, isTrial: false) { _, _, _, _ in } }
        #expect(count == 1)
        #expect(scene.objects == ["old.jsonl"])
        try await storage.close()
    }
}
