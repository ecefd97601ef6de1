import Foundation
import Logging
import Synchronization
import TauCore
import TauSystem
import TauTestKit
import Testing

@testable import TauStorage

/// A directory for a store, removed at the end.
final class StoreDirectory: Sendable {
    let path: String

    init(_ parent: String = NSTemporaryDirectory()) throws {
        path = parent + "/tau-store-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    var catalogPath: String { path + "-catalog.sqlite" }
    var accountsPath: String { path + "-accounts.sqlite" }

    deinit {
        for path in [path] + [catalogPath, accountsPath].flatMap({ [$0, $0 + "-wal", $0 + "-shm"] }) {
            try? FileManager.default.removeItem(atPath: path)
        }
    }

    func store(_ logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) throws -> JSONLSessionStore {
        let threads = BlockingThreads(count: 4)
        return try JSONLSessionStore(
            directory: path, catalog: catalogPath,
            accounts: AccountDatabase(path: accountsPath, threads: threads), threads: threads,
            logger: logger)
    }

    func file(_ id: String) -> String { path + "/\(id).jsonl" }
    func read(_ id: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: file(id)))) }
    func write(_ bytes: [UInt8], _ id: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: file(id))) }
}

/// Keeps the messages of a logger.
struct CollectingLogHandler: LogHandler {
    final class Lines: Sendable {
        let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
    }

    let collected: Lines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        collected.lines.withLock { $0.append("\(event.level): \(event.message) \(event.metadata ?? [:])") }
    }
}

@Suite(.ownThreads) struct JSONLStoreTests {
    @Test(arguments: SessionStoreContract.promises.indices)
    func `keeps the promises of a session store`(_ index: Int) async throws {
        let directory = try StoreDirectory()
        let promise = SessionStoreContract.promises[index]
        do {
            try await promise.check(SessionStoreContract(store: try directory.store(), second: try directory.store()))
        } catch {
            Issue.record("\(promise.name): \(error)")
        }
    }

    @Test func `a torn tail is cut off at every byte of a record, and the next append survives`() async throws {
        let directory = try StoreDirectory()
        let first = SessionStoreContract.file("torn", ["a", "b"])
        let last = SessionStoreContract.entry("the last é \u{2028} one", after: first.entries[1])
        let record = Array(last.line)
        for length in 0...record.count {
            let collected = CollectingLogHandler.Lines()
            let store = try directory.store(Logger(label: "test") { _ in CollectingLogHandler(collected: collected) })
            try directory.write(first.bytes + record.prefix(length), "torn")
            let file = try await store.open(first.header.id)
            let isWhole = length == record.count
            #expect(file.entries.count == (isWhole ? 3 : 2), "torn at \(length)")
            #expect(collected.all.contains { $0.contains("torn") } == (length > 0 && !isWhole))
            let next = SessionStoreContract.entry("next", after: file.entries.last)
            try await store.append([next], to: first.header.id, after: file.entries.last?.id)
            await store.close(first.header.id)
            let again = try await store.open(first.header.id)
            await store.close(first.header.id)
            #expect(again.entries.count == file.entries.count + 1, "torn at \(length)")
            #expect(again.findings.isEmpty)
            #expect(again.entries.last?.id == next.id)
        }
    }

    @Test func `a broken line in the middle is logged with its number, kept, and skipped`() async throws {
        let directory = try StoreDirectory()
        let collected = CollectingLogHandler.Lines()
        let store = try directory.store(Logger(label: "test") { _ in CollectingLogHandler(collected: collected) })
        let whole = SessionStoreContract.file("broken", ["a", "b"])
        var lines = whole.bytes.split(separator: UInt8(ascii: "\n")).map(Array.init)
        lines.insert(Array("{\"type\":\"message\",".utf8), at: 2)
        let bytes = lines.flatMap { $0 + [UInt8(ascii: "\n")] }
        try directory.write(bytes, "broken")
        let file = try await store.open(whole.header.id)
        #expect(file.entries.count == 2)
        #expect(file.findings.map(\.lineNumber) == [3])
        #expect(collected.all.contains { $0.contains("\"line\": 3") })
        try await store.append(
            [SessionStoreContract.entry("c", after: file.entries[1])], to: whole.header.id, after: file.entries[1].id)
        #expect(try directory.read("broken").starts(with: bytes))
    }

    @Test func `a file that is no session is never touched`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        for content in [
            "", "not json\n", "{\"type\":\"other\"}\n", "{\"type\":\"session\",\"version\":9,\"id\":\"x1\"}\n",
        ] {
            try directory.write(Array(content.utf8), "x1")
            let error = await #expect(throws: StoreError.self) { try await store.open(SessionID(unchecked: "x1")) }
            #expect(error?.code == .corrupt)
            #expect(try directory.read("x1") == Array(content.utf8))
            #expect(try await store.list(SessionQuery()).sessions.isEmpty)
        }
    }

    @Test func `an old version on disk is migrated, and the old file stays beside it`() async throws {
        let directory = try StoreDirectory()
        let old = try SharedData.bytes("pi/large-session.jsonl")
        let id = SessionID(unchecked: "d703a1a9-1b7b-4fb1-b512-c9738b1fe617")
        try directory.write(old, id.rawValue)
        let store = try directory.store()
        let file = try await store.open(id)
        #expect(file.entries.count == 1018)
        #expect(try directory.read(id.rawValue) == file.bytes)
        #expect(Array(try Data(contentsOf: URL(fileURLWithPath: directory.file(id.rawValue) + ".v1"))) == old)
        await store.close(id)
        let again = try await store.open(id)
        #expect(again.originalVersion == 3)
        #expect(again.entries.map(\.id) == file.entries.map(\.id))
        await store.close(id)
        try await store.delete(id)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
    }

    @Test func `files are 0600 in a directory of 0700, links are not followed`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        try await store.create(SessionStoreContract.file("one"))
        func mode(_ path: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        }
        #expect(try mode(directory.path) == 0o700)
        #expect(try mode(directory.file("one")) == 0o600)
        try FileManager.default.createSymbolicLink(
            atPath: directory.file("link"), withDestinationPath: directory.file("one"))
        await #expect(throws: StoreError.self) { try await store.open(SessionID(unchecked: "link")) }
        #expect(try await store.list(SessionQuery()).sessions.map(\.id.rawValue) == ["one"])
    }

    @Test(.enabled(if: geteuid() == 0, "mounting a small file system needs root"))
    func `a full disk fails the append, keeps the file valid, and the next one works after space returns`() async throws
    {
        let disk = try SmallDisk("256k")
        let directory = try disk.directory()
        let store = try directory.store()
        let file = SessionStoreContract.file("full")
        try await store.create(file)
        var last: Entry?
        var stored: [EntryID] = []
        var failure: StoreError?
        for number in 0..<2000 where failure == nil {
            let entry = SessionStoreContract.entry("\(number) \(String(repeating: "x", count: 700))", after: last)
            do throws(StoreError) {
                try await store.append([entry], to: file.header.id, after: last?.id)
                last = entry
                stored.append(entry.id)
            } catch {
                failure = error
            }
        }
        #expect(failure?.code == .unavailable)
        let inBetween = try SessionFile(parsing: try directory.read("full"))
        #expect(inBetween.entries.map(\.id) == stored)
        #expect(inBetween.tornTail.isEmpty)
        await #expect(throws: StoreError.self) {
            for number in 0..<100 {
                try await store.create(
                    SessionStoreContract.file("filler\(number)", [String(repeating: "y", count: 5000)]))
            }
        }
        try disk.resize(to: "1m")
        let next = SessionStoreContract.entry("after", after: last)
        try await store.append([next], to: file.header.id, after: last?.id)
        #expect(try SessionFile(parsing: try directory.read("full")).entries.map(\.id) == stored + [next.id])
    }
}
