import TauTestKit
import Testing

@testable import TauCore

/// Summaries of branches that are left, and forks.
@Suite struct BranchTests {
    private func id(_ text: String) -> EntryID { EntryID(unchecked: text) }

    private var tree: SessionTree {
        get throws {
            try SessionTree.built { builder in
                builder.user("1", nil)
                builder.assistant("2", "1")
                builder.user("3", "2", String(repeating: "x", count: 400))
                builder.assistant("4", "3")
                builder.add(
                    "5", "4", "branch_summary",
                    #""fromId":"9","summary":"earlier","details":{"readFiles":["r"],"modifiedFiles":["m"]}"#)
                builder.add(
                    "6", "5", "message",
                    #""message":{"role":"toolResult","toolCallId":"c","toolName":"t","content":[],"isError":false}"#)
                builder.user("7", "6")
            }
        }
    }

    @Test func `a summary tells what lies between the shared part and the leaf that is left`() throws {
        let plan = try #require(try tree.branchSummaryPlan(leaving: id("7"), for: id("2"), budget: 100_000))
        #expect(plan.items.map(\.entryID.rawValue) == ["3", "4", "5", "7"])
        #expect(plan.fromID.rawValue == "7")
        #expect(plan.files.readFiles == ["r"])
        #expect(plan.files.modifiedFiles == ["m"])
        #expect(try tree.branchSummaryPlan(leaving: id("2"), for: id("7"), budget: 100_000) == nil)
        #expect(try tree.branchSummaryPlan(leaving: nil, for: id("7"), budget: 100_000) == nil)
        let all = try #require(try tree.branchSummaryPlan(leaving: id("7"), for: nil, budget: 100_000))
        #expect(all.items.first?.entryID.rawValue == "1")
    }

    @Test func `what does not fit is left out from the oldest on, but a summary still goes in`() throws {
        let tight = try #require(try tree.branchSummaryPlan(leaving: id("7"), for: nil, budget: 50))
        #expect(tight.items.map(\.entryID.rawValue) == ["4", "5", "7"])
        let none = try #require(try tree.branchSummaryPlan(leaving: id("7"), for: nil, budget: 2))
        #expect(none.items.map(\.entryID.rawValue) == ["5", "7"])
    }

    // MARK: Forks

    private func fork(_ tree: SessionTree, at entry: String?) -> SessionFork {
        SessionFork(
            of: tree, at: entry.map { id($0) }, time: Timestamp(milliseconds: 0), identifiers: IdentifierSource())
    }

    @Test func `a fork holds the path, byte for byte`() throws {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.assistant("2", "1")
            builder.user("other", "1")
            builder.add("odd", "2", "of_the_future", #""z":1.0 , "a" : null"#)
        }
        let fork = fork(tree, at: "odd")
        #expect(fork.entries.map(\.id.rawValue) == ["1", "2", "odd"])
        #expect(fork.entries.map(\.line) == ["1", "2", "odd"].compactMap { tree.entry(id($0))?.line })
        #expect(self.fork(tree, at: nil).entries.isEmpty)
    }

    @Test func `labels and moves on the path are taken out, what follows them is chained, and labels come last`() throws
    {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.add("l1", "1", "label", #""targetId":"1","label":"start""#)
            builder.add("l2", "l1", "label", #""targetId":"gone","label":"elsewhere""#)
            builder.assistant("2", "l2")
            builder.add("m", "2", "leaf", #""targetId":"2""#)
            builder.user("3", "m")
            builder.compaction("4", "3", keep: "l2", #","extra":[1]"#)
            builder.user("5", "4")
            builder.add("l3", "5", "label", #""targetId":"2","label":"good""#)
        }
        let fork = fork(tree, at: "l3")
        #expect(fork.entries.prefix(5).map(\.id.rawValue) == ["1", "2", "3", "4", "5"])
        #expect(fork.entries.map(\.parentID) == [nil] + fork.entries.dropLast().map(\.id))
        let file = try SessionFile(
            parsing: SessionFile(
                header: SessionHeader(
                    id: SessionID(unchecked: "f"), timestamp: Timestamp(milliseconds: 0), workingDirectory: ""),
                entries: fork.entries
            ).bytes)
        let forked = SessionTree(file)
        #expect(forked.labels == [id("1"): "start", id("2"): "good"])
        #expect(file.findings.isEmpty)
        // The compaction kept from a label on; now from what came after it, and its unknown key is there.
        #expect(fork.entries[3].json["firstKeptEntryId"] == "2")
        #expect(fork.entries[3].json["extra"] == [1])
        #expect(forked.outline("5") == ["compactionSummary:4", "2", "3", "5"])
    }

    @Test func `an entry that moves the leaf hangs on its target, so that other readers end there, too`() throws {
        let entry = Entry(
            .leaf(target: id("2")), id: id("m"), parentID: id("2"), timestamp: Timestamp(milliseconds: 0))
        #expect(
            String(decoding: entry.line, as: UTF8.self)
                == #"{"type":"leaf","id":"m","parentId":"2","timestamp":"1970-01-01T00:00:00.000Z","targetId":"2"}"#)
        var grown = try tree
        grown.append(entry)
        #expect(grown.leafID == id("2"))
    }

    @Test func `compactions and branch summaries are written in Pi's order`() {
        let usage = Usage(input: 1, output: 2)
        let compaction = Entry(
            .compaction(
                Compaction(
                    summary: "s", firstKeptEntryID: id("1"), tokensBefore: 9, details: ["readFiles": []], usage: usage)),
            id: id("c"), parentID: nil, timestamp: Timestamp(milliseconds: 0))
        let text = String(decoding: compaction.line, as: UTF8.self)
        #expect(
            text.hasPrefix(
                #"{"type":"compaction","id":"c","parentId":null,"timestamp":"1970-01-01T00:00:00.000Z","summary":"s","firstKeptEntryId":"1","tokensBefore":9,"details":{"readFiles":[]},"fromHook":false,"usage":{"#
            ))
        #expect(compaction.usage == usage)
        let summary = Entry(
            .branchSummary(BranchSummary(fromID: "7", summary: "s", usage: usage)), id: id("b"), parentID: id("1"),
            timestamp: Timestamp(milliseconds: 0))
        #expect(
            String(decoding: summary.line, as: UTF8.self).contains(
                #""fromId":"7","summary":"s","fromHook":false,"usage":{"#))
        #expect(summary.usage == usage)
    }

    @Test(arguments: 0..<40)
    func `a context that is continued is the one that is made anew`(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var tree = SessionTree(SessionFile(header: try SessionBuilder().file().header))
        var cache = ContextCache()
        var conversations = ConversationCache()
        for number in 0..<150 {
            var entry = RandomEntries.entry(number, in: tree, using: &generator)
            if Int.random(in: 0..<25, using: &generator) == 0 {
                let compaction = Compaction(
                    summary: "s\(number)", firstKeptEntryID: tree.entries.randomElement(using: &generator)?.id,
                    tokensBefore: 1)
                entry = Entry(
                    .compaction(compaction), id: entry.id, parentID: tree.leafID, timestamp: Timestamp(milliseconds: 0))
            }
            tree.append(entry)
            let asked =
                Int.random(in: 0..<10, using: &generator) == 0
                ? tree.entries.randomElement(using: &generator)?.id : tree.leafID
            let cached = cache.context(of: asked, in: tree)
            let fresh = tree.context(of: asked)
            try #require(cached.messages.map(\.json) == fresh.messages.map(\.json))
            #expect(cached.messages.map(\.entryID) == fresh.messages.map(\.entryID))
            #expect(cached.settings == fresh.settings)
            #expect(cached.freshStart == fresh.freshStart)
            guard Bool.random(using: &generator) else { continue }
            let conversation = conversations.conversation(of: cached, generation: cache.generation)
            #expect(conversation.messages == Conversation(fresh).messages)
            #expect(conversation.systemPrompt == Conversation(fresh).systemPrompt)
        }
    }
}
