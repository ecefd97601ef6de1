import TauTestKit
import Testing

@testable import TauCore

/// What is summarised and what is kept, against the golden values of Pi and in trees made for it.
@Suite struct CompactionPlanTests {
    private func fixture(_ name: String) throws -> SessionTree {
        SessionTree(try SessionFile(parsing: try SharedData.bytes("pi/\(name).jsonl")))
    }

    @Test(arguments: [
        ("large-session", 20_000, 837, 834), ("large-session", 10_000, 947, 942), ("large-session", 5000, 983, 978),
        ("large-session", 1000, 1011, 986), ("before-compaction", 20_000, 946, 939),
        ("before-compaction", 10_000, 1000, 1000), ("before-compaction", 5000, 1000, 1000),
        ("before-compaction", 1000, 1000, 1000),
    ])
    func `real sessions are cut where Pi cuts them`(_ name: String, _ keep: Int, _ cut: Int, _ turn: Int) throws {
        let tree = try fixture(name)
        let path = tree.branch(to: tree.leafID)
        #expect(path == Array(0..<tree.entries.count))
        let found = CompactionCut(tree, path, from: 0, keepRecentTokens: keep)
        #expect(found.firstKept == cut)
        #expect(found.turnStart == turn)
    }

    @Test func `the plan for the large session is Pi's`() throws {
        let tree = try fixture("large-session")
        let plan = try #require(tree.compactionPlan(at: tree.leafID, keepRecentTokens: 20_000))
        #expect(plan.firstKeptEntryID == tree.entries[837].id)
        #expect(plan.summarized.count == 730)
        #expect(plan.turnPrefix.count == 3)
        #expect(plan.tokensBefore == 177_657)
        #expect(plan.previousSummary == nil)
        #expect(plan.files.readFiles.count == 7)
        #expect(plan.files.modifiedFiles.count == 20)
        #expect(TokenEstimate.tokens(of: tree.context(of: tree.leafID)) == 177_657)
        #expect(tree.context(of: tree.leafID).messages.count == 914)
    }

    /// Pi begins behind the previous compaction and finds 306 messages, 2 read and 11 modified files; what that compaction had kept
    /// is summarised, too.
    @Test func `the plan for the compacted session also has what the compaction before had kept`() throws {
        let tree = try fixture("before-compaction")
        let plan = try #require(tree.compactionPlan(at: tree.leafID, keepRecentTokens: 20_000))
        #expect(plan.firstKeptEntryID == tree.entries[946].id)
        let kept = tree.entries[550..<627].count { $0.role != nil && $0.role != .system }
        #expect(kept > 0)
        #expect(plan.summarized.count == 306 + kept)
        #expect(plan.turnPrefix.count == 7)
        #expect(plan.tokensBefore == 180_820)
        #expect(TokenEstimate.tokens(of: tree.context(of: tree.leafID)) == 168_018 + 12_802)
        #expect(plan.previousSummary?.isEmpty == false)
        #expect(tree.context(of: tree.leafID).messages.count == 446)
        var files = FileActivity()
        for item in plan.summarized.suffix(306) + plan.turnPrefix { files.add(item) }
        #expect(files.readFiles.count == 2)
        #expect(files.modifiedFiles.count == 11)
        #expect(Set(plan.files.modifiedFiles).isSuperset(of: files.modifiedFiles))
    }

    // MARK: Made trees

    private func ids(_ items: [ModelContext.Item]) -> [String] { items.map(\.entryID.rawValue) }

    @Test func `a chain of compactions summarises every message once`() throws {
        // Ten turns; after every second one a compaction that keeps one turn.
        var builder = SessionBuilder()
        var last: String?
        var summarized: [String] = []
        for turn in 1...10 {
            last = builder.user("u\(turn)", last, "question \(turn)")
            last = builder.assistant("a\(turn)", last)
            guard turn.isMultiple(of: 2) else { continue }
            let tree = try builder.tree()
            let plan = try #require(tree.compactionPlan(at: tree.leafID, keepRecentTokens: 2))
            #expect(plan.previousSummary == (turn == 2 ? nil : "summary c\(turn - 2)"))
            summarized += ids(plan.summarized + plan.turnPrefix)
            last = builder.compaction("c\(turn)", last, keep: plan.firstKeptEntryID.rawValue)
        }
        let tree = try builder.tree()
        let context = tree.outline(tree.leafID?.rawValue)
        #expect(context.first == "compactionSummary:c10")
        let messages = (1...10).flatMap { ["u\($0)", "a\($0)"] }
        #expect(summarized + context.dropFirst() == messages)
    }

    @Test func `nothing is planned where nothing would be summarised`() throws {
        let short = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.assistant("2", "1")
        }
        #expect(short.compactionPlan(at: short.leafID, keepRecentTokens: 20_000) == nil)
        let done = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.assistant("2", "1")
            builder.compaction("3", "2", keep: "2")
        }
        #expect(done.compactionPlan(at: done.leafID, keepRecentTokens: 0) == nil)
        #expect(try SessionTree.built { _ in }.compactionPlan(at: nil, keepRecentTokens: 0) == nil)
    }

    @Test func `a cut at an answer splits its turn, and a result never loses its call`() throws {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil, String(repeating: "x", count: 400))
            builder.assistant("2", "1")
            builder.user("3", "2", "the long turn")
            builder.assistant("4", "3", stop: "toolUse")
            builder.add(
                "5", "4", "message",
                #""message":{"role":"toolResult","toolCallId":"c","toolName":"t","content":[{"type":"text","text":"\#(String(repeating: "y", count: 400))"}],"isError":false}"#
            )
            builder.add("6", "5", "label", #""targetId":"1","label":"x""#)
            builder.assistant("7", "6")
        }
        // The result alone is more than is to be kept; the next candidate behind it is the answer, with the label before it.
        let plan = try #require(tree.compactionPlan(at: tree.leafID, keepRecentTokens: 50))
        #expect(plan.firstKeptEntryID.rawValue == "6")
        #expect(ids(plan.summarized) == ["1", "2"])
        #expect(ids(plan.turnPrefix) == ["3", "4", "5"])
        let whole = try #require(tree.compactionPlan(at: tree.leafID, keepRecentTokens: 105))
        #expect(whole.firstKeptEntryID.rawValue == "3")
        #expect(whole.turnPrefix.isEmpty)
    }

    @Test func `messages that a compaction carries itself, and the prompt, are not lost at the next one`() throws {
        let tree = try SessionTree.built { builder in
            builder.add("p", nil, "message", #""message":{"role":"system","content":"Be brief.","timestamp":7}"#)
            builder.user("1", "p")
            builder.compaction(
                "2", "1", keep: "nowhere", #","retainedTail":[{"role":"user","content":"carried","timestamp":1}]"#)
            builder.add("q", "2", "message", #""message":{"role":"system","content":"In German.","timestamp":8}"#)
            builder.user("3", "q")
            builder.user("4", "3")
        }
        let plan = try #require(tree.compactionPlan(at: tree.leafID, keepRecentTokens: 1))
        #expect(ids(plan.summarized) == ["2", "3"])
        #expect(Transcript(plan.summarized).text == "[User]: carried\n\n[User]: 3")
        #expect(plan.systemMessage?["content"] == "Be brief.\n\nIn German.")
        var grown = tree
        let compaction = Compaction(
            summary: "all", firstKeptEntryID: plan.firstKeptEntryID, tokensBefore: 1, systemMessage: plan.systemMessage)
        grown.append(
            Entry(
                .compaction(compaction), id: EntryID(unchecked: "5"), parentID: tree.leafID,
                timestamp: Timestamp(milliseconds: 9)))
        #expect(Conversation(grown.context(of: grown.leafID)).systemPrompt == "Be brief.\n\nIn German.")
        #expect(grown.outline("5") == ["5", "compactionSummary:5", "4"])
    }

    @Test func `what a compaction says and carries cannot be edited away`() throws {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.compaction(
                "2", "1", keep: "nowhere", #","retainedTail":[{"role":"user","content":"carried","timestamp":1}]"#)
            builder.add("3", "2", "context_edit", #""targetId":"2","replacement":null"#)
        }
        #expect(tree.context(of: tree.leafID).messages.map(\.role) == [.compactionSummary, .user])
    }

    @Test func `what was counted before a compaction is stale`() throws {
        var builder = SessionBuilder()
        builder.user("1", nil)
        builder.assistant("2", "1", tokens: 90_000)
        #expect(TokenEstimate.tokens(of: try builder.tree().context(of: EntryID(unchecked: "2"))) == 90_000)
        builder.compaction("3", "2", keep: "2")
        let tree = try builder.tree()
        #expect(TokenEstimate.tokens(of: tree.context(of: tree.leafID)) < 10)
        builder.user("4", "3")
        builder.assistant("5", "4", tokens: 700)
        #expect(TokenEstimate.tokens(of: try builder.tree().context(of: EntryID(unchecked: "5"))) == 700)
    }

    @Test(arguments: [(95_000, true), (89_000, false)])
    func `it is due when the window without the reserve is full`(_ tokens: Int, _ isDue: Bool) {
        var settings = CompactionSettings()
        settings.reserveTokens = 10_000
        #expect(settings.isDue(tokens: tokens, contextWindow: 100_000) == isDue)
        settings.isEnabled = false
        #expect(!settings.isDue(tokens: tokens, contextWindow: 100_000))
    }

    @Test func `in a small window neither part takes more than a quarter`() {
        let fitted = CompactionSettings().fitted(to: 8000)
        #expect(fitted.reserveTokens == 2000)
        #expect(fitted.keepRecentTokens == 2000)
    }

    @Test func `a transcript names the speakers and shortens what tools say, nothing else`() throws {
        let long = String(repeating: "z", count: 5000)
        let tree = try SessionTree.built { builder in
            builder.user("1", nil, long)
            builder.add(
                "2", "1", "message",
                #""message":{"role":"assistant","content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"I look."},{"type":"toolCall","id":"c","name":"read","arguments":{"path":"a.txt","limit":3}},{"type":"toolCall","id":"d","name":"ls","arguments":{}}],"provider":"p","model":"m","stopReason":"toolUse"}"#
            )
            builder.add(
                "3", "2", "message",
                #""message":{"role":"toolResult","toolCallId":"c","toolName":"read","content":[{"type":"text","text":"\#(long)"}],"isError":false}"#
            )
        }
        let text = Transcript(tree.context(of: tree.leafID).messages).text
        #expect(text.hasPrefix("[User]: \(long)\n\n[Assistant thinking]: hm\n\n[Assistant]: I look.\n\n"))
        #expect(text.contains(#"[Assistant tool calls]: read(path="a.txt", limit=3); ls()"#))
        #expect(text.hasSuffix("[Tool result]: \(long.prefix(2000))\n\n[3000 more characters are left out]"))
    }

    @Test func `a transcript that is too long comes in pieces, and nothing is left out`() throws {
        let tree = try fixture("large-session")
        let whole = Transcript(tree.context(of: tree.leafID).messages)
        let pieces = whole.pieces(ofTokens: 5000)
        #expect(pieces.count > 5)
        #expect(pieces.allSatisfy { $0.text.utf16.count <= 5000 * 4 + 2 * 2000 })
        func letters(_ text: String) -> String { text.filter { !$0.isWhitespace } }
        #expect(letters(pieces.map(\.text).joined()) == letters(whole.text))
        #expect(whole.pieces(ofTokens: 10_000_000).map(\.text) == [whole.text])
    }

    @Test func `the lists of files at the end of a summary are taken off for the next one`() {
        var files = FileActivity()
        files.add(details: ["readFiles": ["a"], "modifiedFiles": ["b"]])
        #expect(FileActivity.withoutLists("The summary" + files.text) == "The summary")
        #expect(FileActivity.withoutLists("no lists") == "no lists")
    }
}
