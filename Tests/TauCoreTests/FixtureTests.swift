import TauCore
import TauTestKit
import Testing

/// Two sessions of real work, of the format's first version.
@Suite struct FixtureTests {
    func tree(_ name: String) throws -> SessionTree {
        SessionTree(try SessionFile(parsing: try SharedData.bytes("pi/\(name).jsonl")))
    }

    func counts<Key: Hashable>(_ keys: some Sequence<Key>) -> [Key: Int] {
        keys.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }

    @Test func `the large session has its messages, its settings and its ends`() throws {
        let tree = try tree("large-session")
        #expect(counts(tree.entries.compactMap(\.role)) == [.user: 88, .assistant: 453, .toolResult: 373])
        #expect(
            counts(tree.entries.map(\.body.typeName)) == [
                "message": 914, "thinking_level_change": 103, "model_change": 1,
            ])
        let conversation = Conversation(tree.context(of: tree.leafID))
        let reasons = conversation.messages.compactMap { message in
            if case .assistant(let answer) = message { answer.stopReason } else { nil }
        }
        #expect(counts(reasons) == [.toolUse: 366, .stop: 65, .aborted: 21, .error: 1])
        // Its usage has no totals: they are the sums of the parts.
        let usage = tree.usage
        #expect(usage.totalTokens == usage.input + usage.output + usage.cacheRead + usage.cacheWrite)
        #expect(tree.context(of: tree.leafID).settings.model != nil)
    }

    @Test func `the session with compactions has its messages, and the last compaction stands before them`() throws {
        let tree = try tree("before-compaction")
        #expect(
            counts(tree.entries.compactMap(\.role)) == [
                .user: 55, .assistant: 484, .toolResult: 448, .bashExecution: 3,
            ])
        #expect(
            counts(tree.entries.map(\.body.typeName)) == [
                "message": 990, "compaction": 2, "thinking_level_change": 5, "model_change": 5,
            ])
        let items = tree.context(of: tree.leafID).messages
        #expect(items.first?.role == .compactionSummary)
        #expect(items.dropFirst().allSatisfy { $0.role != .compactionSummary })
        let compactions = tree.entries.filter { $0.body.typeName == "compaction" }
        #expect(items.first?.entryID == compactions.last?.id)
        // The migration has turned both indexes into ids of entries before them.
        for entry in compactions {
            guard case .compaction(let compaction) = entry.body, let kept = compaction.firstKeptEntryID,
                let place = tree.index(of: kept), let own = tree.index(of: entry.id)
            else {
                Issue.record("a compaction has lost what it keeps")
                continue
            }
            #expect(place < own)
        }
    }

    /// The index counts the file's lines from the header, so the id it becomes is that of the line there.
    @Test func `what a compaction kept by index it keeps by id`() throws {
        let bytes = try SharedData.bytes("pi/before-compaction.jsonl")
        let lines = try bytes.split(separator: UInt8(ascii: "\n")).map { try JSONValue(parsing: $0) }
        let file = try SessionFile(parsing: bytes)
        var checked = 0
        for (place, line) in lines.enumerated() {
            guard let index = line["firstKeptEntryIndex"]?.integer else { continue }
            // Entry 0 is the line after the header.
            #expect(file.entries[place - 1].json["firstKeptEntryId"]?.string == file.entries[index - 1].id.rawValue)
            checked += 1
        }
        #expect(checked == 2)
    }

    /// Whatever the line, the file is cut there and read: nothing is lost but what was cut.
    @Test func `a real file cut anywhere keeps its whole lines`() throws {
        let file = try SessionFile(parsing: try SharedData.bytes("pi/large-session.jsonl"))
        let bytes = Array(file.bytes.prefix(20_000))
        var generator = SeededGenerator(seed: 41)
        for _ in 0..<200 {
            let length = Int.random(in: file.header.line.count...bytes.count, using: &generator)
            let cut = try SessionFile(parsing: Array(bytes.prefix(length)))
            #expect(cut.bytes + cut.tornTail == Array(bytes.prefix(length)))
            #expect(cut.entries.map(\.line) == file.entries.prefix(cut.entries.count).map(\.line))
            let feeds = bytes.prefix(length).count { $0 == UInt8(ascii: "\n") }
            // A last line that lacks nothing but its line feed counts.
            #expect(cut.entries.count == feeds - 1 + (cut.tornTail.isEmpty && cut.bytes.last != 0x0A ? 1 : 0))
        }
    }
}
