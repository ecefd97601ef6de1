import TauCore
import TauTestKit
import Testing

/// Files that nobody should write, but anybody can send.
@Suite struct HostileSessionTests {
    func tree(_ body: (inout SessionBuilder) -> Void) throws -> SessionTree {
        var builder = SessionBuilder()
        body(&builder)
        return try builder.tree()
    }

    /// Appends at the leaf, as a run does.
    func continued(_ tree: SessionTree) -> SessionTree {
        var tree = tree
        tree.append(
            Entry(
                .sessionInfo(name: "next"), id: EntryID(unchecked: "next"), parentID: tree.leafID,
                timestamp: Timestamp(milliseconds: 0)))
        return tree
    }

    @Test func `a leaf entry that names no entry moves the leaf to itself, and the session goes on`() throws {
        let before = try tree { builder in
            builder.user("1", nil)
            builder.add("2", "1", "leaf", #""targetId":"nowhere""#)
        }
        #expect(before.leafID?.rawValue == "2")
        let after = continued(before)
        #expect(after.leafID?.rawValue == "next")
        #expect(after.outline("next") == ["1"])
    }

    @Test func `every leaf that a file can leave behind can be continued`() throws {
        var generator = SeededGenerator(seed: 31)
        let types = ["leaf", "label", "context_edit", "session_info", "compaction", "message", "custom", "x"]
        for _ in 0..<500 {
            var builder = SessionBuilder()
            let count = Int.random(in: 1...8, using: &generator)
            for _ in 0..<count {
                // Few ids: twins, circles, self-parents, links forward and links to nowhere all occur.
                func id() -> String { "n\(Int.random(in: 0...6, using: &generator))" }
                let type = types.randomElement(using: &generator) ?? "x"
                builder.add(
                    id(), Bool.random(using: &generator) ? id() : nil, type,
                    #""targetId":"\#(id())","firstKeptEntryId":"\#(id())","message":{"role":"user","content":"x"}"#)
            }
            let tree = try builder.tree()
            _ = continued(tree)
            for entry in tree.entries {
                let branch = tree.branch(to: entry.id)
                #expect(Set(branch).count == branch.count, "\(builder.lines)")
                _ = Conversation(tree.context(of: entry.id))
            }
            #expect(tree.nodes.count == count)
        }
    }

    @Test func `a time before the year 0 does not stop a list or a drawing`() throws {
        let header = #"{"type":"session","version":3,"id":"test","timestamp":"0000-01-01T00:00:00+99:99","cwd":"/"}"#
        let entry = #"{"type":"label","id":"a","parentId":null,"timestamp":"0000-01-01T00:00:00+00:01","targetId":"a"}"#
        let tree = SessionTree(try SessionFile(parsing: Array("\(header)\n\(entry)\n".utf8)))
        #expect(tree.summary.createdAt.description == "1970-01-01T00:00:00.000Z")
        #expect(tree.summary.updatedAt.description == "1970-01-01T00:00:00.000Z")
        #expect(tree.nodes.map(\.timestamp) == [nil])
    }

    @Test func `a chain of 100,000 entries is walked without deep calls`() throws {
        var builder = SessionBuilder()
        for number in 0..<100_000 { builder.user("n\(number)", number == 0 ? nil : "n\(number - 1)", "x") }
        let tree = try builder.tree()
        #expect(tree.branch(to: tree.leafID).count == 100_000)
        #expect(tree.context(of: tree.leafID).messages.count == 100_000)
    }

    @Test func `values of the wrong kind make an entry that says nothing`() throws {
        let tree = try tree { builder in
            builder.add("1", nil, "message", #""message":"text""#)
            builder.add("2", "1", "message", #""message":{"role":5,"content":{},"timestamp":"then","usage":[]}"#)
            builder.add("3", "2", "label", #""targetId":7"#)
            builder.add("4", "3", "session_info", #""name":{}"#)
            builder.add("5", "4", "branch_summary", #""summary":[]"#)
            builder.add("6", "5", "context_edit", #""targetId":[]"#)
            builder.add("7", "6", "usage", #""usage":5"#)
            builder.add("8", "7", "thinking_level_change", #""thinkingLevel":1"#)
            builder.add("9", "8", "custom_message", #""content":null"#)
        }
        #expect(tree.entries.count == 9)
        #expect(tree.name == nil)
        #expect(tree.labels.isEmpty)
        #expect(tree.usage == Usage())
        #expect(tree.updatedAt == tree.header.timestamp)
        #expect(tree.outline("9") == ["2", "9"])
        #expect(Conversation(tree.context(of: tree.leafID)).messages.map(\.role) == [.user])
    }
}
