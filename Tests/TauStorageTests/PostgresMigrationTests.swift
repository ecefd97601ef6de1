import Logging
import TauCore
import TauPostgres
import TauSystem
import TauTestKit
import Testing

@testable import TauStorage

@Suite(.ownThreads, .timeLimit(.minutes(3))) struct PostgresMigrationTests {
    @Test func `servers that start together make the tables once, and no step changes afterwards`() async throws {
        let database = try await TestDatabase()
        let pools = (0..<4).map { _ in PostgresPool(PostgresConfiguration(url: database.url)) }
        let taken = try await withThrowingTaskGroup(of: [String].self) { group in
            for pool in pools { group.addTask { try await PostgresMigrations(pool).run() } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(taken.filter { !$0.isEmpty }.count == 1)
        let next = PostgresSchema.steps.count + 1
        let later =
            PostgresSchema.steps + [.init(version: next, name: "more", statements: ["CREATE TABLE more (a int)"])]
        #expect(try await PostgresMigrations(pools[0], steps: later).run() == ["more"])
        let unknown = await #expect(throws: StoreError.self) { try await PostgresMigrations(pools[1]).run() }
        #expect(unknown?.message.contains("later version") == true)
        var changed = later
        changed[0].statements[0] += " "
        let refused = await #expect(throws: StoreError.self) {
            try await PostgresMigrations(pools[1], steps: changed).run()
        }
        #expect(refused?.message.contains("step 1") == true)
        // A step that fails leaves nothing.
        let broken =
            later + [.init(version: next + 1, name: "bad", statements: ["CREATE TABLE left (a int)", "nonsense"])]
        await #expect(throws: StoreError.self) { try await PostgresMigrations(pools[1], steps: broken).run() }
        #expect(try await database.query("SELECT to_regclass('left') IS NULL").rows[0].bool(0))
        for pool in pools { await pool.close() }
    }

    @Test func `sessions are copied byte by byte, there and back, and a second time nothing is`() async throws {
        let database = try await TestDatabase()
        let (directory, copy) = (try StoreDirectory(), try StoreDirectory())
        let files = try directory.store()
        let names = ["before-compaction", "large-session"]
        let real = try names.map { try SharedData.bytes("pi/\($0).jsonl") } + Self.odd
        var count = 0
        for content in real {
            guard let file = try? SessionFile(parsing: content), (try? await files.create(file)) != nil else {
                continue
            }
            await files.close(file.header.id)
            count += 1
        }
        #expect(count == names.count + Self.odd.count)
        let storage = try await database.storage()
        let report = try await SessionCopy(from: files, to: storage.sessions).run { _ in }
        #expect(report.copied == count && report.problems.isEmpty, "\(report)")
        #expect(try await SessionCopy(from: files, to: storage.sessions).run { _ in }.same == count)
        let back = try copy.store()
        #expect(try await SessionCopy(from: storage.sessions, to: back).run { _ in }.copied == count)
        let pages = try await (files.list(SessionQuery(limit: 200)), storage.sessions.list(SessionQuery(limit: 200)))
        // What the list says is the same whichever store says it.
        #expect(pages.0.sessions == pages.1.sessions)
        for session in pages.0.sessions {
            #expect(try await back.export(session.id).bytes() == files.export(session.id).bytes())
            #expect(try await storage.sessions.read(session.id).bytes == files.export(session.id).bytes())
        }
        // One that has gone on is told, and left.
        let first = try #require(pages.0.sessions.first)
        let opened = try await storage.sessions.open(first.id)
        let next = SessionStoreContract.entry("next", after: nil)
        try await storage.sessions.append([next], to: first.id, after: opened.entries.last?.id)
        await storage.sessions.close(first.id)
        let again = try await SessionCopy(from: files, to: storage.sessions).run { _ in }
        #expect(again.problems.map(\.id) == [first.id])
        try await storage.close()
    }

    /// A file with lines that are no entries, one without a last line feed, and one with branches.
    private static let odd: [[UInt8]] = {
        let header = #"{"type":"session","version":3,"id":"odd","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/"}"#
        let broken = Array("\(header)\n\n\r\nno entry\u{0}\n".utf8) + [0xFF, 0xFE, 0x0A]
        let plain = SessionStoreContract.file("plain", ["a"])
        let tree = SessionStoreContract.file("tree", ["a", "b"])
        let branch = Entry(
            .sessionInfo(name: "named"), id: EntryID(unchecked: "n"), parentID: tree.entries[0].id,
            timestamp: Timestamp(milliseconds: 5000))
        return [
            broken + Array(plain.entries[0].line), Array(plain.bytes.dropLast()), tree.bytes + branch.line + [0x0A],
        ]
    }()

    @Test func `NULs and JSON that jsonb refuses never make an append fail, and spoil nobody else's`() async throws {
        let database = try await TestDatabase()
        let storage = try await database.storage()
        var lines = [
            #"{"type":"message","id":"\u0000","parentId":null,"timestamp":"x","message":{"role":"toolResult","content":"a\u0000b"}}"#,
            #"{"type":"message","id":"b","parentId":"\u0000","message":{"role":"assistant","content":"\ud800","model":"\u0000","provider":"p","usage":{"input":1e400,"output":-5,"cost":{"input":1e308}}}}"#,
            #"{"type":"custom_of_a_very_long_name_\u0000","id":"c","parentId":"b","data":{"n":1e999999}}"#,
            #"{"type":"custom","customType":"tau.metadata","id":"d","parentId":"c","data":{"\u0000":"\udfff"}}"#,
        ]
        lines.append(#"{"type":"message","id":"\#(String(repeating: "€", count: 5000))","parentId":"d"}"#)
        let entries = try lines.map { try Entry(line: Array($0.utf8)[...]) }
        let file = SessionStoreContract.file("one")
        try await storage.sessions.create(file)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                var last: EntryID?
                for entry in entries {
                    try await storage.sessions.append([entry], to: file.header.id, after: last)
                    last = entry.id
                }
            }
            for number in 0..<10 {
                group.addTask {
                    let other = SessionStoreContract.file("other-\(number)")
                    try await storage.sessions.create(other)
                    var last: Entry?
                    for step in 0..<20 {
                        let entry = SessionStoreContract.entry("\(step)", after: last)
                        try await storage.sessions.append([entry], to: other.header.id, after: last?.id)
                        last = entry
                    }
                }
            }
            try await group.waitForAll()
        }
        await storage.sessions.close(file.header.id)
        #expect(try await storage.sessions.read(file.header.id).entries.map(\.line) == entries.map(\.line))
        let listed = try await storage.sessions.list(SessionQuery()).sessions
        #expect(listed.count == 11)
        #expect(listed.first { $0.id == file.header.id }?.entryCount == 5)
        try await storage.close()
    }

    @Test func `psql reads what was written`() async throws {
        let database = try await TestDatabase()
        let storage = try await database.storage()
        try await storage.sessions.create(SessionStoreContract.file("one", ["hello", "wörld"]))
        _ = try await storage.sessions.list(SessionQuery())
        let result = try await database.query(
            """
            SELECT string_agg(entry.content::json #>> '{message,content,0,text}', ' ' ORDER BY entry.line),
                min(entry.metadata ->> 'role'), max(session.entry_count)
            FROM session_entries AS entry JOIN sessions AS session ON session.id = entry.session_id
            WHERE session.public_id = 'one'
            """)
        #expect(try result.rows[0].text(0) == "hello wörld")
        #expect(try result.rows[0].text(1) == "user")
        #expect(try result.rows[0].integer(2) == 2)
        try await storage.close()
    }
}
