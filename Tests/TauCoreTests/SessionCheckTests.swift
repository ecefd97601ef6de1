import TauTestKit
import Testing

@testable import TauCore

/// Files that are out of order: what is found in them, and what is made of them.
@Suite struct SessionCheckTests {
    private static let header =
        #"{"type":"session","version":3,"id":"s","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/"}"#
    private let name = SessionID(unchecked: "s")

    private static func entry(_ id: String, _ parent: String?, _ more: String = #""type":"custom","customType":"x""#)
        -> String
    {
        #"{"id":"\#(id)","parentId":\#(parent.map { "\"\($0)\"" } ?? "null"),"timestamp":"t",\#(more)}"#
    }

    private func bytes(_ lines: [String]) -> [UInt8] { Array(lines.map { $0 + "\n" }.joined().utf8) }

    private func kinds(_ lines: [String]) -> [String] {
        SessionCheck(bytes(lines), name: name).findings.map { "\($0.kind.rawValue):\($0.line ?? 0)" }
    }

    @Test func `a session in order has no findings`() throws {
        #expect(kinds([Self.header, Self.entry("1", nil), Self.entry("2", "1")]).isEmpty)
        for fixture in ["large-session", "before-compaction"] {
            let content = try SharedData.bytes("pi/\(fixture).jsonl")
            let check = SessionCheck(content, name: nil)
            #expect(check.findings.map(\.kind) == [.oldVersion], "\(fixture)")
            #expect(check.entryCount > 1000)
        }
    }

    @Test(
        arguments: [
            ([header, "{broken", entry("1", nil)], ["broken_line:2"]),
            ([header, entry("1", nil), header, entry("2", "1")], ["second_header:3"]),
            (
                [header, entry("1", nil), entry("1", nil, #""type":"label","targetId":"1""#)],
                ["duplicate_id:3", "several_roots:0"]
            ),
            ([header, entry("1", "gone")], ["orphan:2"]),
            ([header, entry("1", "2"), entry("2", nil)], ["forward_parent:2"]),
            (
                [header, entry("1", "3"), entry("2", "1"), entry("3", "2"), entry("4", "3")],
                ["cycle:2", "cycle:3", "cycle:4"]
            ),
            ([header, entry("1", "1")], ["cycle:2"]),
            ([header, entry("1", nil), entry("2", nil)], ["several_roots:0"]),
            ([header, entry("1", nil, #""type":"leaf","targetId":"x""#)], ["unknown_leaf_target:2"]),
            ([header, entry("1", nil, #""type":"label","targetId":"x","label":"l""#)], ["unknown_label_target:2"]),
            (
                [
                    header, entry("1", nil),
                    entry("2", "1", #""type":"compaction","summary":"s","firstKeptEntryId":"x""#),
                ], ["unknown_kept_entry:3"]
            ),
            ([header, entry("1", nil, #""type":"of_the_future""#)], ["unknown_type:2"]),
            (["{}"], ["no_session:0"]), ([], ["no_session:0"]),
            ([header.replacing("\"s\"", with: "\"t\""), entry("1", nil)], ["wrong_name:1"]),
        ] as [([String], [String])])
    func `each disorder is found, with its line`(_ lines: [String], _ expected: [String]) {
        #expect(kinds(lines) == expected)
    }

    @Test func `torn ends, zeros, a missing line feed and lines that are too long are told`() {
        let whole = bytes([Self.header, Self.entry("1", nil)])
        func kinds(_ content: [UInt8], _ limits: SessionFile.Limits = .init()) -> [SessionCheck.Kind] {
            SessionCheck(content, name: name, limits: limits).findings.map(\.kind)
        }
        #expect(kinds(whole + Array("{\"id".utf8)) == [.tornTail])
        #expect(kinds(whole + [0, 0, 0]) == [.tornTail])
        #expect(kinds(Array(whole.dropLast())) == [.missingLineFeed])
        #expect(kinds(whole, SessionFile.Limits(maxLineBytes: 90)) == [])
        #expect(kinds(whole, SessionFile.Limits(maxLineBytes: 20)) == [.overlongLine])
    }

    // MARK: Repair

    private func repaired(_ lines: [String]) throws -> (lines: [String], actions: [String]) {
        let repair = try SessionRepair(bytes(lines), name: name)
        let check = SessionCheck(repair.bytes, name: name)
        #expect(check.worst != .error, "\(check.findings)")
        return (String(decoding: repair.bytes, as: UTF8.self).split(separator: "\n").map(String.init), repair.actions)
    }

    @Test func `what is in order stays byte for byte, what cannot be read is left out`() throws {
        let odd = Self.entry("2", "1", #" "type" : "of_the_future","n":1.0"#)
        let result = try repaired([Self.header, Self.entry("1", nil), "{broken", "", odd])
        #expect(result.lines == [Self.header, Self.entry("1", nil), odd])
        #expect(result.actions.count == 1)
        #expect(try repaired([Self.header, odd.replacing("\"1\"", with: "null")]).actions.isEmpty)
    }

    @Test func `orphans become roots, children come behind their parents, circles are cut`() throws {
        let orphan = try repaired([Self.header, Self.entry("1", "gone", #""type":"x","k":1.0"#)])
        #expect(orphan.lines[1] == Self.entry("1", nil, #""type":"x","k":1.0"#))
        #expect(orphan.actions == ["1 entries whose parent does not exist became roots"])
        // It stays where it is.
        let first = try repaired([Self.header, Self.entry("1", "gone"), Self.entry("2", nil)])
        #expect(first.lines == [Self.header, Self.entry("1", nil), Self.entry("2", nil)])
        let forward = try repaired([
            Self.header, Self.entry("1", "3"), Self.entry("2", "1"), Self.entry("3", nil), Self.entry("4", nil),
        ])
        #expect(
            forward.lines == [
                Self.header, Self.entry("3", nil), Self.entry("1", "3"), Self.entry("2", "1"), Self.entry("4", nil),
            ])
        let circle = try repaired([
            Self.header, Self.entry("1", "3"), Self.entry("2", "1"), Self.entry("3", "2"), Self.entry("4", "3"),
        ])
        #expect(
            circle.lines == [
                Self.header, Self.entry("1", nil), Self.entry("2", "1"), Self.entry("3", "2"), Self.entry("4", "3"),
            ])
    }

    @Test func `lines that are there twice are there once, and of two entries with one id the last keeps it`() throws {
        let twice = try repaired([
            Self.header, Self.entry("1", nil), Self.entry("2", "1"), Self.entry("1", nil), Self.entry("2", "1"),
        ])
        #expect(twice.lines == [Self.header, Self.entry("1", nil), Self.entry("2", "1")])
        let other = Self.entry("1", nil, #""type":"session_info","name":"later""#)
        let twins = try repaired([Self.header, Self.entry("1", nil), other, Self.entry("2", "1")])
        #expect(twins.lines.suffix(2) == [other, Self.entry("2", "1")])
        #expect(twins.lines.count == 4)
    }

    @Test func `a file without a header gets one, a wrong one is corrected, and nothing comes of nothing`() throws {
        let headless = try repaired([Self.entry("1", nil), "rubbish"])
        #expect(headless.lines.count == 2)
        #expect(headless.lines[0].contains(#""id":"s""#))
        let renamed = try repaired([Self.header.replacing("\"s\"", with: "\"t\""), Self.entry("1", nil)])
        #expect(renamed.lines[0] == Self.header)
        #expect(throws: EntryError.self) { try SessionRepair(Array("rubbish\n".utf8), name: name) }
    }

    @Test(arguments: 0..<30)
    func `a real session that was mutilated is repaired, and every line that was whole and in order is there`(
        _ seed: UInt64
    ) throws {
        var generator = SeededGenerator(seed: seed)
        let original = try SessionFile(parsing: try SharedData.bytes("pi/large-session.jsonl"))
        var lines = original.bytes.split(separator: UInt8(ascii: "\n")).prefix(200).map(Array.init)
        for _ in 0..<10 {
            let place = Int.random(in: 1..<lines.count, using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: lines[place] = Array(lines[place].prefix(lines[place].count / 2))
            case 1: lines.remove(at: place)
            case 2: lines.swapAt(place, Int.random(in: 1..<lines.count, using: &generator))
            case 3: lines.insert(lines[Int.random(in: 1..<lines.count, using: &generator)], at: place)
            case 4:
                lines[place][Int.random(in: 0..<lines[place].count, using: &generator)] = UInt8.random(
                    in: 1...255, using: &generator)
            default: lines.insert([0, 0, 0], at: place)
            }
        }
        let content = Array(lines.joined(separator: [UInt8(ascii: "\n")]))
        let id = original.header.id
        let check = SessionCheck(content, name: id)
        let repair = try SessionRepair(content, name: id)
        #expect(SessionCheck(repair.bytes, name: id).worst != .error)
        let result = try SessionFile(parsing: repair.bytes)
        // Every entry that the reader could see is there, and its message is the same.
        let broken = try SessionFile(parsing: content)
        let messages = Set(result.entries.compactMap { $0.messageJSON.map(Array.init) })
        for entry in broken.entries {
            if let json = entry.messageJSON { #expect(messages.contains(Array(json))) }
        }
        #expect(check.worst != .error || !repair.actions.isEmpty)
        // What is repaired is in order: a second repair has nothing to do.
        #expect(try SessionRepair(repair.bytes, name: id).bytes == repair.bytes)
    }

    @Test(arguments: 0..<200)
    func `hostile files crash neither`(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var lines = [Self.header]
        for number in 0..<Int.random(in: 0..<30, using: &generator) {
            let types = ["leaf", "label", "compaction", "message", "session", "context_edit", "", "x"]
            let id = "\(Int.random(in: 0..<8, using: &generator))"
            lines.append(
                Self.entry(
                    id, Bool.random(using: &generator) ? nil : "\(Int.random(in: 0..<9, using: &generator))",
                    #""type":"\#(types[number % types.count])","targetId":"\#(id)","firstKeptEntryId":"\#(id)""#))
        }
        var content = bytes(lines)
        for _ in 0..<Int.random(in: 0..<4, using: &generator) where !content.isEmpty {
            content[Int.random(in: 0..<content.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        }
        _ = SessionCheck(content, name: name)
        guard let repair = try? SessionRepair(content, name: name) else { return }
        let again = SessionCheck(repair.bytes, name: name)
        #expect(again.worst != .error, "\(again.findings)")
    }
}
