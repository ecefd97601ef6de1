import TauCore
import TauTestKit
import Testing

@Suite struct SessionFileTests {
    func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
    static let header = #"{"type":"session","version":3,"id":"test","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/w"}"#
    static let entry = #"{"type":"session_info","id":"a","parentId":null,"timestamp":"x","name":"n"}"#

    @Test(arguments: [
        "", "\n", "{", "not json\n", #"{"type":"message"}"# + "\n", #"{"type":"session"}"# + "\n",
        #"{"type":"session","id":5}"# + "\n",
        #"{"type":"session","version":4,"id":"test"}"# + "\n", #"{"type":"session","version":0,"id":"test"}"# + "\n",
        #"{"type":"session","version":3,"id":"../x"}"# + "\n", "[]\n",
    ])
    func `what does not begin with a header is no session`(_ text: String) {
        #expect(throws: EntryError.self) { try SessionFile(parsing: bytes(text)) }
    }

    @Test func `lines that are no entries are found by number, and kept`() throws {
        let lines = [
            Self.header, Self.entry, "{broken", #"{"id":"b"}"#, #"{"type":"x"}"#, "", "  \r", Self.header, "[1]",
            #"{"type":"x","id":"","parentId":null}"#, "\"\u{2028}\"", Self.entry.replacing("\"a\"", with: "\"z\""),
        ]
        let content = bytes(lines.joined(separator: "\n") + "\n")
        let file = try SessionFile(parsing: content)
        #expect(file.bytes == content)
        #expect(file.entries.map(\.id.rawValue) == ["a", "z"])
        #expect(file.findings.map(\.lineNumber) == [3, 4, 5, 8, 9, 10, 11])
        #expect(file.findings.allSatisfy { !$0.reason.isEmpty })
    }

    @Test(arguments: [1, 2, 1000, 1001, 5003])
    func `several processors read what one reads`(_ count: Int) async throws {
        var text = #"{"type":"session","version":3,"id":"s","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/"}"# + "\n"
        for line in 1...count {
            let isBroken = line % 700 == 1
            text +=
                isBroken ? "broken\n" : #"{"type":"custom","customType":"t","id":"e\#(line)","parentId":null}"# + "\n"
            if line % 900 == 0 { text += "\n" }
        }
        text += #"{"torn"#
        let content = Array(text.utf8)
        let one = try SessionFile(parsing: content)
        let several = try await SessionFile.parsing(content)
        #expect(several.entries.map(\.id) == one.entries.map(\.id))
        #expect(several.entries.map(\.line) == one.entries.map(\.line))
        #expect(several.findings == one.findings)
        #expect(several.findings.first?.lineNumber == 2)
        #expect(several.bytes == one.bytes && several.tornTail == one.tornTail)
    }

    @Test func `a line that is too long is a finding`() throws {
        let long = Self.entry.replacing("\"n\"", with: "\"\(String(repeating: "n", count: 300))\"")
        let file = try SessionFile(
            parsing: bytes("\(Self.header)\n\(long)\n\(Self.entry)\n"), limits: SessionFile.Limits(maxLineBytes: 200))
        #expect(file.entries.count == 1)
        #expect(file.findings.map(\.lineNumber) == [2])
    }

    @Test func `a tail is torn at every byte but the last, and never taken for an entry`() throws {
        let whole = "\(Self.header)\n\(Self.entry)\n"
        let last =
            #"{"type":"message","id":"é🙈","parentId":"a","timestamp":"x","message":{"role":"user","content":"\u2028 \ud83d"}}"#
        let record = bytes(last)
        for length in 0...record.count {
            let file = try SessionFile(parsing: bytes(whole) + record.prefix(length))
            let isWhole = length == record.count
            #expect(file.entries.count == (isWhole ? 2 : 1), "at \(length)")
            #expect(file.tornTail == (isWhole ? [] : Array(record.prefix(length))))
            #expect(file.findings.isEmpty)
            #expect(file.bytes == bytes(whole) + (isWhole ? record : []))
        }
    }

    @Test func `CRLF, odd spacing and line separators inside strings are fine`() throws {
        let odd =
            "{ \"type\" : \"message\", \"id\":\"b\",\"parentId\":\"a\",\"message\":{\"content\":\"x\u{2028}y\",\"role\":\"user\"} }\r"
        let file = try SessionFile(parsing: bytes("\(Self.header)\r\n\(Self.entry)\r\n\(odd)\n"))
        #expect(file.entries.map(\.id.rawValue) == ["a", "b"])
        #expect(file.entries[1].role == .user)
        #expect(file.entries[1].parentID?.rawValue == "a")
    }

    // MARK: Migration

    @Test func `version 1 gets a chain of ids, and compactions point at ids`() throws {
        let text = """
            {"type":"session","id":"old","timestamp":"2025-01-01T00:00:00.000Z","cwd":"/","branchedFrom":"x"}
            {"type":"message","timestamp":"t","message":{"role":"user","content":"a","timestamp":1}}

            broken
            {"type":"message","timestamp":"t","message":{"role":"hookMessage","content":"b","n":1.0}}
            {"type":"compaction","timestamp":"t","summary":"s","firstKeptEntryIndex":2,"tokensBefore":5}
            {"type":"compaction","timestamp":"t","summary":"s","firstKeptEntryIndex":0,"tokensBefore":5}

            """
        let file = try SessionFile(parsing: bytes(text))
        #expect(file.originalVersion == 1)
        #expect(file.header.version == 3)
        #expect(file.entries.count == 4)
        #expect(file.entries.allSatisfy { $0.id.rawValue.utf8.count == 8 })
        #expect(file.entries.map(\.parentID) == [nil] + file.entries.dropLast().map(\.id))
        #expect(file.findings.map(\.lineNumber) == [4])
        #expect(file.entries[1].json["message"]?["role"] == "custom")
        #expect(file.entries[1].json["message"]?["n"]?.text == "1.0")
        // Index 0 is the header, 1 and 2 the two messages: only lines that are JSON count.
        #expect(file.entries[2].json["firstKeptEntryId"]?.string == file.entries[1].id.rawValue)
        #expect(file.entries[2].json["firstKeptEntryIndex"] == nil)
        #expect(file.entries[3].json["firstKeptEntryId"] == nil)
        // A second reading changes nothing.
        let again = try SessionFile(parsing: file.bytes)
        #expect(again.originalVersion == 3)
        #expect(again.bytes == file.bytes)
    }

    @Test func `version 2 keeps its ids and every other byte`() throws {
        let text = """
            {"type":"session","version":2,"id":"old","timestamp":"2025-01-01T00:00:00.000Z","cwd":"/"}
            {"type":"message", "id":"k1","parentId":null,"timestamp":"t","message":{"role":"user","content":"a"}}
            {"type":"message","id":"k2","parentId":"k1","timestamp":"t","message":{"role":"hookMessage","content":"b"}}

            """
        let file = try SessionFile(parsing: bytes(text))
        #expect(
            String(decoding: file.bytes, as: UTF8.self)
                == text.replacing("\"version\":2", with: "\"version\":3").replacing("hookMessage", with: "custom"))
    }

    struct Fixture: Sendable, CustomTestStringConvertible {
        var name: String
        var entries: Int
        var messages: Int
        var cost: Double
        var testDescription: String { name }
    }

    @Test(arguments: [
        Fixture(name: "large-session", entries: 1018, messages: 914, cost: 30.3302),
        Fixture(name: "before-compaction", entries: 1002, messages: 446, cost: 42.5959),
    ])
    func `real sessions are migrated with every line's own content, and read as Pi reads them`(_ fixture: Fixture)
        throws
    {
        let old = try SharedData.bytes("pi/\(fixture.name).jsonl")
        let file = try SessionFile(parsing: old)
        let tree = SessionTree(file)
        #expect(tree.entries.count == fixture.entries)
        #expect(file.findings.isEmpty)
        #expect(tree.context(of: tree.leafID).messages.count == fixture.messages)
        #expect(abs((tree.usage.cost?.total ?? 0) - fixture.cost) < 0.0001)
        let oldLines = old.split(separator: UInt8(ascii: "\n"))
        let newLines = file.bytes.split(separator: UInt8(ascii: "\n"))
        try #require(oldLines.count == newLines.count)
        for (before, after) in zip(oldLines, newLines).dropFirst() {
            if after.starts(with: before.dropLast()) { continue }
            // Only compactions are written anew, and keep every other member.
            var object = try #require(try JSONValue(parsing: before).object)
            #expect(object["type"] == "compaction")
            object["firstKeptEntryIndex"] = nil
            let new = try #require(try JSONValue(parsing: after).object)
            for member in object.members { #expect(new[member.key] == member.value) }
        }
        #expect(try SessionFile(parsing: file.bytes).bytes == file.bytes)
    }

    @Test func `random trees are written and read back the same`() throws {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<100 {
            let header = SessionHeader(
                id: SessionID(unchecked: "r"), timestamp: Timestamp(milliseconds: 1), workingDirectory: "/é")
            var entries: [Entry] = []
            for number in 0..<Int.random(in: 0..<30, using: &generator) {
                let value = JSONTests.random(&generator, depth: 2)
                let content: NewEntry =
                    switch Int.random(in: 0..<4, using: &generator) {
                    case 0: .custom(type: "t", data: value)
                    case 1: .sessionInfo(name: value.string ?? "n")
                    case 2:
                        .message(
                            .user(UserMessage(content: [.text(value.text)], timestamp: Timestamp(milliseconds: 3))))
                    default:
                        .message(
                            .toolResult(
                                ToolResultMessage(
                                    toolCallID: "c", toolName: "t", content: [], details: value, isError: false,
                                    timestamp: Timestamp(milliseconds: 4))))
                    }
                entries.append(
                    Entry(
                        content, id: EntryID(unchecked: "e\(number)"),
                        parentID: entries.randomElement(using: &generator)?.id,
                        timestamp: Timestamp(milliseconds: 2)))
            }
            let written = SessionFile(header: header, entries: entries)
            let read = try SessionFile(parsing: written.bytes)
            #expect(read.bytes == written.bytes)
            #expect(read.entries.map(\.line) == entries.map(\.line))
            #expect(read.entries.map(\.parentID) == entries.map(\.parentID))
            #expect(SessionTree(read).nodes == SessionTree(written).nodes)
        }
    }
}
