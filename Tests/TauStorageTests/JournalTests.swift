import Foundation
import Glibc
import Logging
import Synchronization
import TauCore
import TauSystem
import TauTestKit
import Testing

@testable import TauStorage

/// The journal's records, its file, and its replay.
@Suite(.ownThreads) struct JournalTests {
    private static let session = SessionID(unchecked: "s")

    private func buffer(_ count: Int, from sequence: UInt64 = 100) -> JournalBuffer {
        var buffer = JournalBuffer(nextSequence: sequence)
        for number in 0..<count {
            buffer.add(.append, Self.session, offset: number * 10) { $0 += Array("line \(number)\n".utf8) }
        }
        return buffer
    }

    @Test func `records come back as they were, and a torn one ends them at every byte`() {
        var buffer = buffer(3)
        buffer.add(.release, Self.session, offset: 30)
        buffer.addDirect(Self.session, offset: 40, content: Array("long".utf8))
        let records = JournalRecord.records(in: buffer.bytes + [UInt8](repeating: 0, count: 4096))
        #expect(records.map(\.kind) == [.append, .append, .append, .release, .direct])
        #expect(records.map(\.sequence) == [100, 101, 102, 103, 104])
        #expect(records.map(\.offset) == [0, 10, 20, 30, 40])
        #expect(Array(records[1].content) == Array("line 1\n".utf8))
        #expect(records[4].directContent?.count == 4)
        var ends: [Int] = []
        for length in 0...buffer.bytes.count {
            let found = JournalRecord.records(in: Array(buffer.bytes.prefix(length)))
            #expect(found.map(\.sequence) == records.prefix(found.count).map(\.sequence))
            if found.count > ends.count { ends.append(length) }
        }
        // Each record is there from its last byte on, and not earlier.
        #expect(ends.count == 5 && ends.last == buffer.bytes.count)
    }

    @Test func `a record with one wrong bit is none`() {
        let bytes = buffer(2).bytes
        for position in bytes.indices {
            for bit in 0..<8 {
                var wrong = bytes
                wrong[position] ^= 1 << bit
                #expect(JournalRecord.records(in: wrong).count < 2)
            }
        }
    }

    @Test func `what an earlier pass over the file left behind the last record is no record`() {
        let old = buffer(5, from: 100).bytes
        let new = buffer(2, from: 200).bytes
        let bytes = new + old[new.count...]
        #expect(JournalRecord.records(in: bytes).map(\.sequence) == [200, 201])
        #expect(JournalRecord.records(in: []).isEmpty)
    }

    @Test func `what was released or taken back is not pending`() {
        var buffer = buffer(2)
        buffer.add(.cancel, Self.session, offset: 10)
        buffer.add(.append, Self.session, offset: 10) { $0 += Array("other\n".utf8) }
        let pending = JournalReplay.pending(JournalRecord.records(in: buffer.bytes))
        #expect(pending[Self.session]?.map { String(decoding: $0.content, as: UTF8.self) } == ["line 0\n", "other\n"])
        buffer.add(.release, Self.session, offset: 16)
        #expect(JournalReplay.pending(JournalRecord.records(in: buffer.bytes)).isEmpty)
    }

    // MARK: Replay

    /// A store that has appended and is gone without a word, as after a crash; the session's file was made shorter.
    private func crashed(_ directory: StoreDirectory, keeping length: (SessionFile) -> Int) async throws -> SessionFile
    {
        let file = SessionStoreContract.file("s", ["a"])
        let b = SessionStoreContract.entry("b", after: file.entries[0])
        let c = SessionStoreContract.entry("c", after: b)
        do {
            let store = try directory.store()
            try await store.create(file)
            try await store.append([b], to: file.header.id, after: file.entries[0].id)
            try await store.append([c], to: file.header.id, after: b.id)
        }
        // A child that another test starts at this moment holds the journal's lock until it runs its program.
        for name in journals(directory) {
            let journal = try FileHandle(forReadingFrom: URL(fileURLWithPath: directory.path + "/.journal/" + name))
            try #require(flock(journal.fileDescriptor, LOCK_EX) == 0)
        }
        let whole = try SessionFile(parsing: try directory.read("s"))
        #expect(whole.entries.count == 3)
        try FileHandle(forUpdating: URL(fileURLWithPath: directory.file("s"))).truncate(atOffset: UInt64(length(file)))
        return whole
    }

    private func journals(_ directory: StoreDirectory) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: directory.path + "/.journal")) ?? []).sorted()
    }

    @Test func `appends that the file has lost come back from the journal, which then goes`() async throws {
        let directory = try StoreDirectory()
        let whole = try await crashed(directory) { $0.bytes.count }
        #expect(journals(directory).count == 1)
        let store = try directory.store()
        // Whoever asks first: an export, a list, an open.
        #expect(try await store.export(Self.session).bytes() == whole.bytes)
        #expect(journals(directory).isEmpty)
        #expect(try await store.open(Self.session).bytes == whole.bytes)
    }

    @Test func `a list after a crash has what the journal has`() async throws {
        let directory = try StoreDirectory()
        _ = try await crashed(directory) { $0.bytes.count }
        #expect(try await directory.store().list(SessionQuery()).sessions.map(\.entryCount) == [3])
    }

    @Test func `a journal never writes over another entry: it is kept aside, and said so`() async throws {
        let directory = try StoreDirectory()
        _ = try await crashed(directory) { $0.bytes.count }
        let file = SessionStoreContract.file("s", ["a"])
        let other = SessionStoreContract.entry("of somebody else", after: file.entries[0])
        let bytes = file.bytes + other.line + [UInt8(ascii: "\n")]
        try directory.write(bytes, "s")
        let collected = CollectingLogHandler.Lines()
        let store = try directory.store(Logger(label: "test") { _ in CollectingLogHandler(collected: collected) })
        #expect(try await store.open(Self.session).bytes == bytes)
        #expect(journals(directory).count == 1 && journals(directory)[0].hasSuffix(".kept"))
        #expect(collected.all.contains { $0.hasPrefix("error") })
    }

    /// A journal that was given up after an error may announce what never came; the next one has what took its place.
    @Test(arguments: [["a", "b"], ["b", "a"]])
    func `the journals of one process are replayed in the order in which they were written`(_ names: [String])
        async throws
    {
        let directory = try StoreDirectory()
        let file = SessionStoreContract.file("s", ["a"])
        let entry = SessionStoreContract.entry("b", after: file.entries[0])
        try await directory.store().create(file)
        try FileManager.default.createDirectory(atPath: directory.path + "/.journal", withIntermediateDirectories: true)
        var first = JournalBuffer(nextSequence: 100)
        first.addDirect(Self.session, offset: file.bytes.count, content: [UInt8](repeating: 65, count: 5000))
        var second = JournalBuffer(nextSequence: 101)
        second.add(.append, Self.session, offset: file.bytes.count) { $0 += entry.line + [UInt8(ascii: "\n")] }
        for (name, buffer) in zip(names, [first, second]) {
            try Data(buffer.bytes).write(to: URL(fileURLWithPath: directory.path + "/.journal/\(name).journal"))
        }
        let found = try await directory.store().open(Self.session)
        #expect(found.entries.map(\.id) == [file.entries[0].id, entry.id])
        #expect(journals(directory).isEmpty)
    }

    @Test func `a journal of a session that is gone is of no use, and goes`() async throws {
        let directory = try StoreDirectory()
        _ = try await crashed(directory) { $0.bytes.count }
        try FileManager.default.removeItem(atPath: directory.file("s"))
        #expect(try await directory.store().list(SessionQuery()).sessions.isEmpty)
        #expect(journals(directory).isEmpty)
        #expect(!FileManager.default.fileExists(atPath: directory.file("s")))
    }

    @Test func `rubbish in the journal's place harms nothing`() async throws {
        let directory = try StoreDirectory()
        let whole = try await crashed(directory) { $0.bytes.count }
        for (name, content) in [
            ("1.journal", [0]), ("2.journal", [UInt8](repeating: 0xFF, count: 9000)), ("half", [1]),
        ] {
            try Data(content as [UInt8]).write(to: URL(fileURLWithPath: directory.path + "/.journal/" + name))
        }
        #expect(try await directory.store().open(Self.session).bytes == whole.bytes)
        #expect(journals(directory).isEmpty)
    }

    @Test func `a living process's journal is left alone, and a clean end leaves none`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        let file = SessionStoreContract.file("s", ["a"])
        try await store.create(file)
        let b = SessionStoreContract.entry("b", after: file.entries[0])
        try await store.append([b], to: Self.session, after: file.entries[0].id)
        let second = try directory.store()
        #expect(try await second.list(SessionQuery()).sessions.count == 1)
        #expect(journals(directory).count == 1)
        try await store.checkpoint()
        await store.close(Self.session)
        try await store.shutDown()
        #expect(journals(directory).isEmpty)
        #expect(try await second.open(Self.session).entries.count == 2)
    }

    @Test func `the journal is used again and again within its bound`() async throws {
        let directory = try StoreDirectory()
        var limits = JournalLimits()
        limits.maxBytes = 300_000
        limits.directBytes = 20_000
        let store = try JSONLSessionStore(
            directory: directory.path, catalog: directory.catalogPath, journalLimits: limits,
            threads: BlockingThreads(count: 2), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let file = SessionStoreContract.file("s")
        try await store.create(file)
        var last: Entry?
        for number in 0..<300 {
            // Also some that go straight into the file.
            let text = "\(number) " + String(repeating: "x", count: number % 50 == 0 ? 30_000 : 3000)
            let entry = SessionStoreContract.entry(text, after: last)
            try await store.append([entry], to: Self.session, after: last?.id)
            last = entry
        }
        let journal = directory.path + "/.journal/" + (journals(directory).first ?? "")
        let size = try FileManager.default.attributesOfItem(atPath: journal)[.size] as? Int ?? 0
        #expect(size > 0 && size <= 300_000)
        #expect(try SessionFile(parsing: try directory.read("s")).entries.count == 300)
    }

    @Test func `a journal whose sessions are all closed is used again, too`() async throws {
        let directory = try StoreDirectory()
        var limits = JournalLimits()
        limits.maxBytes = 300_000
        let store = try JSONLSessionStore(
            directory: directory.path, catalog: directory.catalogPath, journalLimits: limits,
            threads: BlockingThreads(count: 2), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let file = SessionStoreContract.file("s")
        try await store.create(file)
        await store.close(Self.session)
        var last: Entry?
        for number in 0..<60 {
            _ = try await store.open(Self.session)
            let entry = SessionStoreContract.entry("\(number) " + String(repeating: "x", count: 9000), after: last)
            try await store.append([entry], to: Self.session, after: last?.id)
            await store.close(Self.session)
            last = entry
        }
        #expect(try await store.open(Self.session).entries.count == 60)
    }

    @Test(.timeLimit(.minutes(1)))
    func `a store that is maintained makes a checkpoint on its own`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        let file = SessionStoreContract.file("s")
        try await store.create(file)
        let entry = SessionStoreContract.entry("new", after: nil)
        try await store.append([entry], to: Self.session, after: nil)
        func firstRecord() throws -> JournalRecord.Kind? {
            let path = directory.path + "/.journal/" + (journals(directory).first ?? "")
            return JournalRecord.records(in: Array(try Data(contentsOf: URL(fileURLWithPath: path)))).first?.kind
        }
        #expect(try firstRecord() == .append)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await store.maintain(checkpointSeconds: 1) }
            defer { group.cancelAll() }
            // The disk is asked until it shows it.
            while try firstRecord() != .start {
                try Task.checkCancellation()
                try await store.checkHealth()
            }
        }
    }

    // MARK: A full disk

    @Test(.enabled(if: geteuid() == 0, "mounting a small file system needs root"))
    func `on a full disk appends fail one by one, files stay valid, and all goes on when there is space`() async throws
    {
        let disk = try SmallDisk("1m")
        let directory = try disk.directory()
        let files = (0..<5).map { SessionStoreContract.file("s\($0)") }
        let filling = Filling(store: try directory.store(), ids: files.map(\.header.id))
        for file in files { try await filling.store.create(file) }
        func check(_ moment: Comment) throws {
            for file in files {
                let content = try SessionFile(parsing: try directory.read(file.header.id.rawValue))
                #expect(content.entries.map(\.id) == filling.entries(of: file.header.id), moment)
                #expect(content.tornTail.isEmpty && content.findings.isEmpty, moment)
            }
        }
        await filling.fill()
        #expect(filling.failures > 0)
        try check("full")
        try disk.resize(to: "8m")
        let count = filling.entryCount
        await filling.fill()
        #expect(filling.failures == 0)
        #expect(filling.entryCount > count)
        try check("space again")
    }

    @Test(.enabled(if: geteuid() == 0, "mounting a small file system needs root"))
    func `an append that a full disk refused does not come back from the journal after a crash`() async throws {
        let disk = try SmallDisk("1m")
        let directory = try disk.directory()
        let files = (0..<5).map { SessionStoreContract.file("s\($0)") }
        var filling: Filling? = Filling(store: try directory.store(), ids: files.map(\.header.id))
        for file in files { try await filling?.store.create(file) }
        await filling?.fill()
        #expect(filling?.failures ?? 0 > 0)
        let acknowledged = files.map { filling?.entries(of: $0.header.id) ?? [] }
        // The store goes without a word, and there is space again.
        filling = nil
        #expect(journals(directory).count == 1)
        try disk.resize(to: "8m")
        let next = try directory.store()
        for (file, ids) in zip(files, acknowledged) {
            #expect(try await Self.openWhenFree(file.header.id, next).entries.map(\.id) == ids)
        }
    }

    /// A thread of the store that has gone may hold a file for a moment longer.
    private static func openWhenFree(_ id: SessionID, _ store: JSONLSessionStore) async throws -> SessionFile {
        let deadline = ContinuousClock.now + .seconds(20)
        while true {
            do throws(StoreError) {
                return try await store.open(id)
            } catch {
                guard error.code == .conflict, ContinuousClock.now < deadline else { throw error }
                await Task.yield()
            }
        }
    }
}

/// Appends to several sessions at once, and remembers what was acknowledged.
private final class Filling: Sendable {
    let store: JSONLSessionStore
    private let ids: [SessionID]
    private let stored = Mutex<[SessionID: [EntryID]]>([:])
    private let failed = Mutex(0)

    init(store: JSONLSessionStore, ids: [SessionID]) {
        self.store = store
        self.ids = ids
    }

    func entries(of id: SessionID) -> [EntryID] { stored.withLock { $0[id] ?? [] } }
    var entryCount: Int { stored.withLock { $0.values.reduce(0) { $0 + $1.count } } }
    /// Of the last `fill`.
    var failures: Int { failed.withLock { $0 } }

    func fill() async {
        failed.withLock { $0 = 0 }
        await withTaskGroup(of: Void.self) { group in
            for id in ids { group.addTask { await self.fill(id) } }
        }
    }

    private func fill(_ id: SessionID) async {
        let text = String(repeating: "x", count: 700)
        for number in 0..<400 where failures <= 20 {
            let before = entries(of: id)
            let message = UserMessage(content: [.text(text)], timestamp: Timestamp(milliseconds: 0))
            let entry = Entry(
                .message(.user(message)), id: EntryID(unchecked: "\(id)-\(before.count)-\(number)"),
                parentID: before.last, timestamp: Timestamp(milliseconds: 0))
            do throws(StoreError) {
                try await store.append([entry], to: id, after: before.last)
                stored.withLock { $0[id, default: []].append(entry.id) }
            } catch {
                #expect(error.code == .unavailable)
                failed.withLock { $0 += 1 }
            }
        }
    }
}
