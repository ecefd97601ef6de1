import TauCore
import TauTestKit
import Testing

/// What a model is sent: Pi's buildSessionContext and its later rules.
@Suite struct ContextTests {
    @Test func `nothing gives nothing, and no thinking`() throws {
        let tree = try SessionTree.built { _ in }
        #expect(tree.outline(nil).isEmpty)
        let context = tree.context(of: tree.leafID)
        #expect(context.messages.isEmpty)
        #expect(context.settings == BranchSettings())
        #expect(context.settings.thinkingLevel == "off")
    }

    @Test func `a conversation is what was said`() throws {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.assistant("2", "1")
            builder.user("3", "2")
            builder.assistant("4", "3")
        }
        let context = tree.context(of: tree.leafID)
        #expect(context.messages.map(\.role) == [.user, .assistant, .user, .assistant])
        #expect(context.settings.model == ModelReference(provider: "anthropic", id: "claude-test"))
        #expect(tree.context(of: nil).messages.isEmpty)
        #expect(tree.context(of: nil).settings.model == nil)
    }

    @Test func `thinking and model are the last ones on the branch, an answer's model beats an earlier change`() throws
    {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.add("2", "1", "thinking_level_change", #""thinkingLevel":"high""#)
            builder.add("3", "2", "model_change", #""provider":"openai","modelId":"gpt-4""#)
            builder.assistant("4", "3", stop: "error")
            builder.add("5", "4", "model_change", #""provider":"openai","modelId":"later""#)
        }
        func settings(_ leaf: String) -> BranchSettings { tree.context(of: EntryID(unchecked: leaf)).settings }
        #expect(settings("4").thinkingLevel == "high")
        #expect(settings("3").model?.id == "gpt-4")
        #expect(settings("4").model?.id == "claude-test")
        #expect(settings("5").model?.id == "later")
        #expect(settings("1").thinkingLevel == "off")
    }

    @Test func `a compaction stands for what it does not keep`() throws {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.assistant("2", "1")
            builder.user("3", "2")
            builder.assistant("4", "3")
            builder.compaction("5", "4", keep: "3")
            builder.user("6", "5")
            builder.assistant("7", "6")
        }
        #expect(tree.outline("7") == ["compactionSummary:5", "3", "4", "6", "7"])
        let first = try JSONValue(parsing: tree.context(of: tree.leafID).messages[0].json)
        #expect(first["summary"] == "summary 5")
        #expect(first["tokensBefore"] == 9)
        #expect(first["timestamp"] == 1_767_225_601_000)
    }

    @Test func `a compaction may keep all, and of several the last one counts`() throws {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.assistant("2", "1")
            builder.compaction("3", "2", keep: "1")
            builder.user("4", "3")
            builder.assistant("5", "4")
            builder.compaction("6", "5", keep: "4")
            builder.user("7", "6")
        }
        #expect(tree.outline("4") == ["compactionSummary:3", "1", "2", "4"])
        #expect(tree.outline("7") == ["compactionSummary:6", "4", "5", "7"])
    }

    @Test(arguments: ["unknown", "c"])
    func `a compaction that keeps an unknown entry, or names itself, keeps nothing`(_ keep: String) throws {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.compaction("c", "1", keep: keep)
            builder.user("2", "c")
        }
        #expect(tree.outline("2") == ["compactionSummary:c", "2"])
    }

    @Test func `branches share what is before them and nothing else`() throws {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.assistant("2", "1")
            builder.user("3", "2")
            builder.user("4", "2")
        }
        #expect(tree.outline("3") == ["1", "2", "3"])
        #expect(tree.outline("4") == ["1", "2", "4"])
    }

    @Test func `a branch summary is told, an empty one is not`() throws {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.assistant("2", "1")
            builder.user("3", "2")
            builder.add("4", "2", "branch_summary", #""fromId":"3","summary":"they tried""#)
            builder.user("5", "4")
            builder.add("6", "5", "branch_summary", #""fromId":"3","summary":"""#)
        }
        #expect(tree.outline("5") == ["1", "2", "branchSummary:4", "5"])
        #expect(tree.outline("6") == ["1", "2", "branchSummary:4", "5"])
    }

    @Test func `a compaction on one branch does not touch another`() throws {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.assistant("2", "1")
            builder.user("3", "2")
            builder.assistant("4", "3")
            builder.compaction("5", "4", keep: "3")
            builder.user("6", "5")
            builder.assistant("7", "6")
            builder.user("8", "3")
            builder.assistant("9", "8")
            builder.add("10", "3", "branch_summary", #""fromId":"9","summary":"side""#)
            builder.user("11", "10")
        }
        #expect(tree.outline("7") == ["compactionSummary:5", "3", "4", "6", "7"])
        #expect(tree.outline("11") == ["1", "2", "3", "branchSummary:10", "11"])
    }

    @Test func `an unknown leaf falls back to the last entry, an orphan stands alone`() throws {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.assistant("2", "1")
            builder.user("orphan", "missing")
        }
        #expect(tree.outline("nowhere") == ["orphan"])
        #expect(tree.outline("orphan") == ["orphan"])
        #expect(tree.outline("2") == ["1", "2"])
    }

    @Test func `circles end, also those of one entry`() throws {
        let tree = try SessionTree.built { builder in
            builder.user("a", "c")
            builder.user("b", "a")
            builder.user("c", "b")
            builder.user("self", "self")
        }
        #expect(tree.outline("c") == ["a", "b", "c"])
        #expect(tree.outline("self") == ["self"])
        #expect(tree.settings(of: EntryID(unchecked: "c")) == BranchSettings())
    }

    @Test func `labels, names, data and unknown types are in the tree and not in the context`() throws {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.add("2", "1", "label", #""targetId":"1","label":"here""#)
            builder.add("3", "2", "session_info", #""name":"n""#)
            builder.add("4", "3", "custom", #""customType":"x","data":{}"#)
            builder.add("5", "4", "of_the_future", #""k":1"#)
            builder.add(
                "6", "5", "usage", #""kind":"cache_warm","provider":"p","model":"m","usage":{"input":7,"output":0}"#)
            builder.add("7", "6", "custom_message", #""customType":"x","content":"told","display":true"#)
            builder.user("8", "7")
        }
        #expect(tree.outline("8") == ["1", "7", "8"])
        #expect(tree.branch(to: EntryID(unchecked: "8")).count == 8)
        let messages = Conversation(tree.context(of: tree.leafID)).messages
        #expect(messages.map(\.role) == [.user, .user, .user])
        guard case .user(let told) = messages[1] else { return }
        #expect(told.content == [.text("told")])
        #expect(tree.usage.input == 7)
    }

    @Test func `a leaf entry moves the leaf and says nothing`() throws {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.assistant("2", "1")
            builder.add("3", "2", "leaf", #""targetId":"1""#)
        }
        #expect(tree.leafID?.rawValue == "1")
        #expect(tree.outline("1") == ["1"])
        let toStart = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.add("2", "1", "leaf", #""targetId":null"#)
        }
        #expect(toStart.leafID == nil)
    }

    @Test func `edits replace or remove earlier messages, the last edit counts`() throws {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.assistant("2", "1")
            builder.user("3", "2")
            builder.add("4", "3", "context_edit", #""targetId":"1","replacement":null"#)
            builder.add("5", "4", "context_edit", #""targetId":"2","replacement":{"content":"first"}"#)
            builder.add("6", "5", "context_edit", #""targetId":"2","replacement":{"content":"second"}"#)
        }
        #expect(tree.outline("3") == ["1", "2", "3"])
        #expect(tree.outline("6") == ["2", "3"])
        let edited = try JSONValue(parsing: tree.context(of: tree.leafID).messages[0].json)
        #expect(edited["content"] == [["type": "text", "text": "second"]])
    }

    @Test func `self-contained compactions carry their tail, and the prompt comes first`() throws {
        let tree = try SessionTree.built { builder in
            builder.add("0", nil, "message", #""message":{"role":"system","content":"old prompt","timestamp":1}"#)
            builder.user("1", "0")
            builder.assistant("2", "1")
            builder.compaction(
                "c", "2", keep: "0",
                #","systemMessage":{"role":"system","content":"prompt","timestamp":2},"retainedTail":[{"role":"user","content":"kept","timestamp":3}]"#
            )
            builder.user("3", "c")
        }
        let context = tree.context(of: tree.leafID)
        #expect(context.messages.map(\.role) == [.system, .compactionSummary, .user, .user])
        let conversation = Conversation(context)
        #expect(conversation.systemPrompt == "prompt")
        #expect(conversation.messages.count == 3)
        let kept = try SessionTree.built { builder in
            builder.add("0", nil, "message", #""message":{"role":"system","content":"old prompt","timestamp":1}"#)
            builder.user("1", "0")
            builder.compaction("c", "1", keep: "0")
        }
        // System messages before a compaction are in its own prompt, or gone.
        #expect(kept.outline("c") == ["compactionSummary:c", "1"])
    }

    @Test func `sections of the prompt are replaced and removed by name`() throws {
        let tree = try SessionTree.built { builder in
            builder.add(
                "1", nil, "message",
                #""message":{"role":"system","content":"base","sections":{"a":"A","b":"B"},"timestamp":1}"#)
            builder.add(
                "2", "1", "message",
                #""message":{"role":"system","content":"","sections":{"a":null,"b":"B2","c":"C"},"timestamp":1}"#)
        }
        #expect(Conversation(tree.context(of: tree.leafID)).systemPrompt == "base\n\nB2\n\nC")
    }

    @Test func `shell commands of the user are told in Pi's words`() throws {
        for vector in try #require(try SharedData.json("pi/golden/bashexecution.json").array) {
            let fields = try #require(vector["in"]?.object)
            var message = JSONObject(members: [.init(key: "role", value: "bashExecution")])
            message.members += fields.members
            let tree = try SessionTree.built { builder in
                builder.add("1", nil, "message", #""message":\#(JSONValue.object(message).text)"#)
            }
            let messages = Conversation(tree.context(of: tree.leafID)).messages
            guard case .user(let user)? = messages.first else {
                Issue.record("no message for \(vector)")
                continue
            }
            #expect(user.content == [.text(vector["text"]?.string ?? "")])
        }
        let hidden = try SessionTree.built { builder in
            builder.add(
                "1", nil, "message",
                #""message":{"role":"bashExecution","command":"x","output":"","excludeFromContext":true}"#)
        }
        #expect(Conversation(hidden.context(of: hidden.leafID)).messages.isEmpty)
    }

    @Test func `tokens are what the model counted last, and an estimate of what came after`() throws {
        let tree = try SessionTree.built { builder in
            builder.user("1", nil)
            builder.assistant("2", "1", tokens: 1800)
            builder.assistant("3", "2", stop: "aborted", tokens: 99_999)
            builder.user("4", "3", "12345678 9")
        }
        // "3" is one character, the last message ten: one and three tokens.
        #expect(TokenEstimate.tokens(of: tree.context(of: tree.leafID)) == 1800 + 1 + 3)
        #expect(TokenEstimate.tokens(of: tree.context(of: EntryID(unchecked: "1"))) == 1)
        #expect(TokenEstimate.tokens(of: ModelContext()) == 0)
    }

    @Test func `of any leaf of any tree the context is that of a naive reading`() throws {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<200 {
            var builder = SessionBuilder()
            var ids: [String] = []
            for number in 0..<Int.random(in: 1...40, using: &generator) {
                let parent = Int.random(in: 0..<10, using: &generator) == 0 ? nil : ids.randomElement(using: &generator)
                let id = "n\(number)"
                switch Int.random(in: 0..<8, using: &generator) {
                case 0: builder.compaction(id, parent, keep: ids.randomElement(using: &generator) ?? "none")
                case 1: builder.add(id, parent, "branch_summary", #""fromId":"x","summary":"s""#)
                case 2: builder.add(id, parent, "session_info", #""name":"n""#)
                case 3: builder.assistant(id, parent)
                default: builder.user(id, parent)
                }
                ids.append(id)
            }
            let tree = try builder.tree()
            for id in ids { #expect(tree.outline(id) == Self.naive(tree, id), "\(builder.lines)") }
        }
    }

    /// Pi's algorithm in the plainest words.
    private static func naive(_ tree: SessionTree, _ leaf: String) -> [String] {
        var path: [Entry] = []
        var next: EntryID? = EntryID(unchecked: leaf)
        while let id = next, let entry = tree.entries.first(where: { $0.id == id }) {
            path.insert(entry, at: 0)
            next = entry.parentID
        }
        func told(_ entries: some Sequence<Entry>) -> [String] {
            entries.compactMap { entry in
                switch entry.body {
                case .message: entry.id.rawValue
                case .branchSummary: "branchSummary:\(entry.id)"
                default: nil
                }
            }
        }
        for (place, entry) in path.enumerated().reversed() {
            guard case .compaction(let compaction) = entry.body else { continue }
            let before = path[..<place].drop { $0.id != compaction.firstKeptEntryID }
            return ["compactionSummary:\(entry.id)"] + told(before) + told(path[(place + 1)...])
        }
        return told(path)
    }
}
