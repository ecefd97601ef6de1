import Foundation
import Synchronization
import TauCore
import TauTestKit
import Testing

@testable import TauStorage

/// The list and the search against the files that they are a function of.
@Suite struct CatalogTests {
    private func ids(_ store: JSONLSessionStore, _ search: String? = nil) async throws -> [String] {
        try await store.list(SessionQuery(search: search, limit: 200)).sessions.map(\.id.rawValue).sorted()
    }

    /// What a list must say: each file read wholly.
    private func truth(_ directory: StoreDirectory) throws -> [SessionSummary] {
        try FileManager.default.contentsOfDirectory(atPath: directory.path).filter { $0.hasSuffix(".jsonl") }
            .map { name in
                let bytes = try Data(contentsOf: URL(fileURLWithPath: directory.path + "/" + name))
                return SessionTree(try SessionFile(parsing: Array(bytes))).summary
            }
            .sorted { ($0.updatedAt.milliseconds, $0.id.rawValue) > ($1.updatedAt.milliseconds, $1.id.rawValue) }
    }

    @Test func `after any appends the list says what the files say, read wholly`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        var generator = SeededGenerator(seed: 21)
        var trees: [SessionTree] = []
        for number in 0..<6 {
            let file = SessionStoreContract.file("s\(number)", at: Int64(number))
            try await store.create(file)
            trees.append(SessionTree(file))
        }
        for step in 0..<300 {
            let number = Int.random(in: 0..<trees.count, using: &generator)
            let entry = RandomEntries.entry(step, in: trees[number], using: &generator)
            try await store.append(
                [entry], to: trees[number].header.id, after: trees[number].entries.last?.id)
            trees[number].append(entry)
            guard Int.random(in: 0..<5, using: &generator) == 0 else { continue }
            let listed = try await store.list(SessionQuery()).sessions
            let expected = try truth(directory)
            try #require(listed == expected, "after step \(step)")
        }
    }

    @Test func `real sessions of Pi are listed as they are, old versions too`() async throws {
        let directory = try StoreDirectory()
        for name in ["pi/large-session.jsonl", "pi/before-compaction.jsonl"] {
            let bytes = try SharedData.bytes(name)
            let id = try SessionFile(parsing: bytes).header.id
            try directory.write(bytes, id.rawValue)
        }
        let store = try directory.store()
        let listed = try await store.list(SessionQuery()).sessions
        #expect(listed.map(\.entryCount).sorted() == [1002, 1018])
        let costs = listed.compactMap { $0.usage.cost?.total }.sorted()
        #expect(costs.map { ($0 * 10_000).rounded() / 10_000 } == [30.3302, 42.5959])
        // Opened, they are migrated, and the list follows.
        for summary in listed {
            _ = try await store.open(summary.id)
            await store.close(summary.id)
        }
        #expect(try await store.list(SessionQuery()).sessions == truth(directory))
    }

    @Test func `a catalogue that a crash left behind is found stale and heals`() async throws {
        let directory = try StoreDirectory()
        let file = SessionStoreContract.file("one", ["first words"])
        do {
            let store = try directory.store()
            try await store.create(file)
            try await store.create(SessionStoreContract.file("two", ["other words"]))
            #expect(try await ids(store) == ["one", "two"])
            let next = SessionStoreContract.entry("second words", after: file.entries[0])
            try await store.append([next], to: file.header.id, after: file.entries[0].id)
            // Here the process dies: nobody has asked since.
        }
        try FileManager.default.removeItem(atPath: directory.file("two"))
        try directory.write(SessionStoreContract.file("three", ["third words"]).bytes, "three")
        let store = try directory.store()
        #expect(try await ids(store) == ["one", "three"])
        #expect(try await ids(store, "second") == ["one"])
        #expect(try await ids(store, "other").isEmpty)
        #expect(try await ids(store, "third") == ["three"])
    }

    @Test func `a catalogue that is no database, or of another layout, is made anew`() async throws {
        let directory = try StoreDirectory()
        try directory.write(SessionStoreContract.file("one", ["words"]).bytes, "one")
        try Data(repeating: 0x41, count: 5000).write(to: URL(fileURLWithPath: directory.catalogPath))
        #expect(try await ids(try directory.store(), "words") == ["one"])
        let sqlite = try Data(contentsOf: URL(fileURLWithPath: directory.catalogPath))
        #expect(sqlite.starts(with: Array("SQLite format 3".utf8)))
    }

    @Test func `files that others put, change and remove are noticed by the next list`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        #expect(try await ids(store).isEmpty)
        let file = SessionStoreContract.file("one", ["apples"])
        try directory.write(file.bytes, "one")
        #expect(try await ids(store, "apples") == ["one"])
        // A new file under the old name: other inode, other content.
        try directory.write(SessionStoreContract.file("one", ["pears"]).bytes, "new")
        try FileManager.default.removeItem(atPath: directory.file("one"))
        try FileManager.default.moveItem(atPath: directory.file("new"), toPath: directory.file("one"))
        #expect(try await ids(store, "apples").isEmpty)
        #expect(try await ids(store, "pears") == ["one"])
        try FileManager.default.removeItem(atPath: directory.file("one"))
        #expect(try await ids(store).isEmpty)
    }

    @Test func `two processes on one directory see each other's sessions`() async throws {
        let directory = try StoreDirectory()
        let first = try directory.store()
        let second = try directory.store()
        try await first.create(SessionStoreContract.file("one", ["from the first"]))
        #expect(try await ids(second, "first") == ["one"])
        try await second.create(SessionStoreContract.file("two", ["from the second"]))
        #expect(try await ids(first, "from") == ["one", "two"])
        try await first.delete(SessionID(unchecked: "one"))
        #expect(try await ids(second, "from") == ["two"])
    }

    @Test func `many lists and appends at once never disagree about a session`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<8 {
                group.addTask {
                    let file = SessionStoreContract.file("s\(number)")
                    try await store.create(file)
                    var last: Entry?
                    for step in 0..<20 {
                        let entry = SessionStoreContract.entry("w\(step)", after: last)
                        try await store.append([entry], to: file.header.id, after: last?.id)
                        last = entry
                    }
                }
            }
            for _ in 0..<4 {
                group.addTask { for _ in 0..<15 { _ = try await store.list(SessionQuery(search: "w1")) } }
            }
            try await group.waitForAll()
        }
        #expect(try await store.list(SessionQuery()).sessions == truth(directory))
        for step in 0..<20 { #expect(try await ids(store, "w\(step)").count == 8) }
    }

    @Test(arguments: [
        ("QUICK fox", true), ("qui", true), ("quick dog", false), ("ick", false), ("\"quick", true), ("brown*", true),
        ("naive cafe", true), ("天氣", true), ("今天", true), ("天今", false), ("foo_bar", true), ("a AND b OR NOT", false),
        ("near(quick)", false), ("named", true), ("tool output", false), ("' OR 1=1 --", false), ("\u{0}", true),
    ])
    func `a search finds words by their beginning, and Chinese by its characters`(
        _ search: String, _ isFound: Bool
    ) async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        let texts = ["The quick \"brown fox", "naïve Café", "今天天氣很好", "foo_bar"]
        let file = SessionStoreContract.file("one", texts)
        try await store.create(file)
        let name = Entry(
            .sessionInfo(name: "Named thing"), id: EntryID(unchecked: "name"), parentID: file.entries.last?.id,
            timestamp: Timestamp(milliseconds: 0))
        let result = ToolResultMessage(
            toolCallID: "1", toolName: "bash", content: [.text("tool output")], isError: false,
            timestamp: Timestamp(milliseconds: 0))
        let output = Entry(
            .message(.toolResult(result)), id: EntryID(unchecked: "out"), parentID: name.id,
            timestamp: Timestamp(milliseconds: 0))
        try await store.append([name, output], to: file.header.id, after: file.entries.last?.id)
        #expect(try await !ids(store, search).isEmpty == isFound)
    }

    @Test func `the catalogue's files are their owner's alone`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        try await store.create(SessionStoreContract.file("one", ["secret words"]))
        _ = try await store.list(SessionQuery())
        for suffix in ["", "-wal", "-shm"] {
            let attributes = try FileManager.default.attributesOfItem(atPath: directory.catalogPath + suffix)
            #expect(attributes[.posixPermissions] as? Int == 0o600, "\(suffix)")
        }
    }

    @Test func `what a deleted session said is found nowhere, also not in the next session`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        try await store.create(SessionStoreContract.file("one", ["apples", "pears"]))
        #expect(try await ids(store, "pears") == ["one"])
        try await store.delete(SessionID(unchecked: "one"))
        // It gets the number that is free again.
        try await store.create(SessionStoreContract.file("two", ["plums"]))
        #expect(try await ids(store, "plums") == ["two"])
        #expect(try await ids(store, "pears").isEmpty)
    }

    @Test func `an old name is not found any more`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        let file = SessionStoreContract.file("one")
        try await store.create(file)
        var last: EntryID?
        for name in ["alpha", "beta", ""] {
            let id = EntryID(unchecked: "name-\(name)")
            let entry = Entry(.sessionInfo(name: name), id: id, parentID: last, timestamp: Timestamp(milliseconds: 0))
            try await store.append([entry], to: file.header.id, after: last)
            last = id
            #expect(try await ids(store, "alpha") == (name == "alpha" ? ["one"] : []))
            #expect(try await ids(store, "beta") == (name == "beta" ? ["one"] : []))
        }
    }

    @Test func `a rebuild reads every file again and tells how far it is`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        for number in 0..<120 {
            try directory.write(SessionStoreContract.file("s\(number)", ["x"]).bytes, "s\(number)")
        }
        try directory.write(Array("no session\n".utf8), "broken")
        #expect(try await ids(store, "x").count == 120)
        let heard = Heard()
        #expect(try await store.rebuildCatalog { heard.add($0, $1) } == 121)
        #expect(heard.all.last.map { $0 == (121, 121) } == true)
        #expect(try await store.list(SessionQuery(limit: 200)).sessions == truth(directory, without: "broken"))
    }

    @Test func `a rebuild also reads files whose size and time tell nothing`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        try directory.write(SessionStoreContract.file("one", ["apples"]).bytes, "one")
        #expect(try await ids(store, "apples") == ["one"])
        // In place, of the same length, and with the time set back.
        let path = directory.file("one")
        var status = stat()
        try #require(stat(path, &status) == 0)
        let bytes = SessionStoreContract.file("one", ["grapes"]).bytes
        let handle = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        try handle.write(contentsOf: Data(bytes))
        try handle.close()
        let times = [status.st_atim, status.st_mtim]
        try #require(utimensat(AT_FDCWD, path, times, 0) == 0)
        #expect(try await ids(try directory.store(), "grapes").isEmpty)
        _ = try await store.rebuildCatalog { _, _ in }
        #expect(try await ids(store, "grapes") == ["one"])
        #expect(try await ids(store, "apples").isEmpty)
    }

    private func truth(_ directory: StoreDirectory, without name: String) throws -> [SessionSummary] {
        try FileManager.default.removeItem(atPath: directory.file(name))
        return try truth(directory)
    }
}

private final class Heard: Sendable {
    private let values = Mutex<[(Int, Int)]>([])

    func add(_ done: Int, _ count: Int) { values.withLock { $0.append((done, count)) } }
    var all: [(Int, Int)] { values.withLock { $0 } }
}
