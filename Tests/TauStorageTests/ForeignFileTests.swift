import Foundation
import TauCore
import TauTestKit
import Testing

@testable import TauStorage

/// Files that other programs wrote, or left behind.
@Suite struct ForeignFileTests {
    static let header = #"{ "type":"session", "version":3,"id":"odd","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/"}"#
    static let entry =
        #"{ "id" : "a","parentId":null,"type":"of_the_future","timestamp":"x", "n":1.0 ,"text":"\ud800 \u00e9" }"#
    let id = SessionID(unchecked: "odd")

    @Test(arguments: ["\(header)\n\(entry)", "\(header)\r\n\r\n\(entry)\r", header, "\(header)\n\n \n\(entry)\n"])
    func `what was imported is exported byte for byte, and appends follow on a line of their own`(_ text: String)
        async throws
    {
        let directory = try StoreDirectory()
        let store = try directory.store()
        let bytes = Array(text.utf8)
        let file = try SessionFile(parsing: bytes)
        try await store.create(file)
        #expect(try await store.export(id).bytes() == bytes)
        // Without being opened again, as after an import over HTTP.
        let first = SessionStoreContract.entry("first", after: file.entries.last)
        let second = SessionStoreContract.entry("second", after: first)
        try await store.append([first], to: id, after: file.entries.last?.id)
        try await store.append([second], to: id, after: first.id)
        await store.close(id)
        let again = try await store.open(id)
        #expect(again.findings.isEmpty)
        #expect(again.entries.map(\.id) == file.entries.map(\.id) + [first.id, second.id])
        let feed: [UInt8] = text.hasSuffix("\n") ? [] : [UInt8(ascii: "\n")]
        #expect(again.bytes == bytes + feed + first.line + [0x0A] + second.line + [0x0A])
    }

    @Test func `a last line that lacks its line feed gets one when the session is opened`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        try directory.write(Array("\(Self.header)\n\(Self.entry)".utf8), "odd")
        let file = try await store.open(id)
        #expect(file.entries.count == 1)
        #expect(try directory.read("odd") == Array("\(Self.header)\n\(Self.entry)\n".utf8))
    }

    /// After a power cut a file system may show zeros where data was on its way.
    @Test func `zeros at the end are cut off`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        let whole = Array("\(Self.header)\n\(Self.entry)\n".utf8)
        for tail in [[0], [UInt8](repeating: 0, count: 5000), Array("{\"id".utf8) + [0, 0]] {
            try directory.write(whole + tail, "odd")
            #expect(try await store.export(id).bytes() == whole)
            #expect(try await store.open(id).entries.count == 1)
            await store.close(id)
            #expect(try directory.read("odd") == whole)
        }
    }

    @Test func `an old file is exported as it is stored, until it is opened for writing`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        let old = try SharedData.bytes("pi/large-session.jsonl")
        let id = SessionID(unchecked: "d703a1a9-1b7b-4fb1-b512-c9738b1fe617")
        try directory.write(old + Array("{\"torn".utf8), id.rawValue)
        #expect(try await store.export(id).bytes() == old)
        let file = try await store.open(id)
        await store.close(id)
        #expect(try await store.export(id).bytes() == file.bytes)
    }

    @Test func `what a crash left behind before it got its name is removed, once it is old`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        for name in [".new-odd-1", ".new-odd-2"] {
            try Data(Self.header.utf8).write(to: URL(fileURLWithPath: directory.path + "/" + name))
        }
        let old: [FileAttributeKey: Any] = [.modificationDate: Date(timeIntervalSinceNow: -3600)]
        try FileManager.default.setAttributes(old, ofItemAtPath: directory.path + "/.new-odd-1")
        #expect(try await store.list(SessionQuery()).sessions.isEmpty)
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [".new-odd-2"])
    }

    /// Pi names its files by time and id. Under a wrong name a session would be listed under an id that opens nothing.
    @Test func `a file whose header names another session is corrupt, and not listed`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        let bytes = Array("\(Self.header)\n\(Self.entry)\n".utf8)
        try directory.write(bytes, "other")
        let other = SessionID(unchecked: "other")
        let error = await #expect(throws: StoreError.self) { try await store.open(other) }
        #expect(error?.code == .corrupt)
        #expect(try directory.read("other") == bytes)
        try directory.write(bytes, "odd")
        #expect(try await store.list(SessionQuery()).sessions.map(\.id) == [id])
        #expect(try await store.list(SessionQuery(search: "nothing like it")).sessions.isEmpty)
    }

    @Test func `names that are no sessions are not listed, and not opened`() async throws {
        let directory = try StoreDirectory()
        let store = try directory.store()
        let bytes = Array("\(Self.header)\n".utf8)
        for name in [".hidden.jsonl", "x.json", "-x.jsonl", "odd.jsonl.v1", ".new-odd-1"] {
            try Data(bytes).write(to: URL(fileURLWithPath: directory.path + "/" + name))
        }
        try FileManager.default.createDirectory(
            atPath: directory.file("directory"), withIntermediateDirectories: false)
        mkfifo(directory.file("fifo"), 0o600)
        #expect(try await store.list(SessionQuery()).sessions.isEmpty)
        await #expect(throws: StoreError.self) { try await store.open(SessionID(unchecked: "directory")) }
        await #expect(throws: StoreError.self) { try await store.open(SessionID(unchecked: "fifo")) }
        // An id that was not checked still leads nowhere outside.
        try Data(bytes).write(to: URL(fileURLWithPath: directory.path + ".jsonl"))
        defer { try? FileManager.default.removeItem(atPath: directory.path + ".jsonl") }
        #expect(SessionID("../" + (directory.path.split(separator: "/").last ?? "")) == nil)
    }

    @Test func `a directory that others may read is closed to them`() throws {
        let directory = try StoreDirectory()
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory.path)
        _ = try directory.store()
        let mode = try FileManager.default.attributesOfItem(atPath: directory.path)[.posixPermissions] as? Int
        #expect(mode == 0o700)
    }
}
