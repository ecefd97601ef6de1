import Synchronization
import TauCore
import TauTestKit
import Testing

@Suite struct MigrationTests {
    static let header = #"{"type":"session","id":"old","timestamp":"2025-01-01T00:00:00.000Z","cwd":"/"}"#

    func message(_ text: String) -> String {
        #"{"type":"message","timestamp":"t","message":{"role":"user","content":"\#(text)"}}"#
    }

    func file(_ lines: [String]) throws -> SessionFile {
        try SessionFile(
            parsing: Array((lines.joined(separator: "\n") + "\n").utf8), identifiers: supply(of: .max))
    }

    @Test func `every line that is JSON counts for the old index, be it an entry or not`() throws {
        let file = try file([
            Self.header, "[1]", "5", "broken", "", #"{"no":"type"}"#, message("kept"),
            #"{"type":"compaction","timestamp":"t","summary":"s","firstKeptEntryIndex":4,"tokensBefore":5}"#,
        ])
        #expect(file.entries.count == 2)
        #expect(file.entries[1].json["firstKeptEntryId"]?.string == file.entries[0].id.rawValue)
        let tree = SessionTree(file)
        #expect(tree.outline(tree.leafID?.rawValue).last == file.entries[0].id.rawValue)
    }

    @Test func `a second header and lines that are no entries do not break the chain`() throws {
        let file = try file([Self.header, message("a"), Self.header, message("b"), #"{"no":"type"}"#, message("c")])
        #expect(file.findings.map(\.lineNumber) == [3, 5])
        #expect(file.entries.map(\.parentID) == [nil, file.entries[0].id, file.entries[1].id])
        #expect(SessionTree(file).context(of: file.entries[2].id).messages.count == 3)
    }

    @Test func `ids do not collide, however small the supply`() throws {
        let small = Array(([Self.header] + (0..<40).map { message("\($0)") }).joined(separator: "\n").utf8)
        let file = try SessionFile(parsing: small, identifiers: supply(of: 30))
        #expect(Set(file.entries.map(\.id)).count == 40)
        #expect(file.entries.map(\.parentID) == [nil] + file.entries.dropLast().map(\.id))
    }

    @Test func `only what changes is written anew`() throws {
        let odd = #"{ "type" : "message","message":{"role":"user","content":"é\u00e9","n":1.50} , "timestamp":"t" } "#
        let file = try file([Self.header, odd, "{}"])
        let line = String(decoding: file.entries[0].line, as: UTF8.self)
        let id = file.entries[0].id
        #expect(line == odd.dropLast(2) + #","id":"\#(id)","parentId":null}"#)
        #expect(
            String(decoding: file.header.line, as: UTF8.self) == Self.header.dropLast() + #","version":3}"#)
        // What is no entry stays as it was.
        #expect(file.bytes.suffix(4) == Array("\n{}\n".utf8)[...])
    }

    @Test func `an index that names the header, nothing or a later line keeps nothing`() throws {
        for index in ["0", "-1", "99", "3", "2", "1.5", "\"1\"", "null"] {
            let file = try file([
                Self.header, message("a"),
                #"{"type":"compaction","timestamp":"t","summary":"s","firstKeptEntryIndex":\#(index),"tokensBefore":5}"#,
                message("b"),
            ])
            guard case .compaction(let compaction) = file.entries[1].body else {
                Issue.record("no compaction at \(index)")
                continue
            }
            // Index 2 is the compaction itself: it keeps nothing before it.
            #expect(compaction.firstKeptEntryID == (index == "2" ? file.entries[1].id : nil), "\(index)")
            #expect(SessionTree(file).context(of: file.entries[2].id).messages.count == 2, "\(index)")
        }
    }

    @Test func `a torn tail of an old file stays out of the new one`() throws {
        let whole = Self.header + "\n" + message("a") + "\n"
        for length in 1..<message("b").utf8.count {
            let tail = Array(message("b").utf8.prefix(length))
            let file = try SessionFile(parsing: Array(whole.utf8) + tail)
            #expect(file.tornTail == tail)
            #expect(file.entries.count == 1)
            #expect(file.bytes.last == UInt8(ascii: "\n"))
        }
    }
}

/// The same ids on every run, which begin with one of `count` numbers.
private func supply(of count: UInt64) -> IdentifierSource {
    let state = State()
    return IdentifierSource { state.generator.withLock { $0.next() } % count &* 0x9E37_79B9_7F4A_7C15 }
}

private final class State: Sendable {
    let generator = Mutex(SeededGenerator(seed: 51))
}
