import TauCore
import TauTestKit
import Testing

/// Edits and compactions that carry their own messages: the later rules of Pi's contexts.
@Suite struct EditTests {
    func tree(_ body: (inout SessionBuilder) -> Void) throws -> SessionTree {
        var builder = SessionBuilder()
        body(&builder)
        return try builder.tree()
    }

    func content(_ tree: SessionTree, _ leaf: String) throws -> [JSONValue?] {
        try tree.context(of: EntryID(unchecked: leaf)).messages.map { try JSONValue(parsing: $0.json)["content"] }
    }

    @Test func `an edit counts on its own branch only`() throws {
        let tree = try tree { builder in
            builder.user("1", nil)
            builder.add("2", "1", "context_edit", #""targetId":"1","replacement":{"content":"new"}"#)
            builder.user("3", "1")
        }
        #expect(try content(tree, "2") == ["new"])
        #expect(try content(tree, "3") == ["1", "3"])
    }

    @Test func `text for a user stays text, for an assistant and a tool it becomes a block, blocks stay blocks`() throws
    {
        let tree = try tree { builder in
            builder.user("1", nil)
            builder.assistant("2", "1")
            builder.add(
                "3", "2", "message",
                #""message":{"role":"toolResult","toolCallId":"c","toolName":"t","content":[],"isError":false}"#)
            builder.add("4", "3", "custom_message", #""customType":"x","content":"old","display":true"#)
            builder.add("5", "4", "context_edit", #""targetId":"1","replacement":{"content":"a"}"#)
            builder.add("6", "5", "context_edit", #""targetId":"2","replacement":{"content":"b"}"#)
            builder.add("7", "6", "context_edit", #""targetId":"3","replacement":{"content":"c"}"#)
            builder.add(
                "8", "7", "context_edit", #""targetId":"4","replacement":{"content":[{"type":"text","text":"d"}]}"#)
        }
        #expect(
            try content(tree, "8") == [
                "a", [["type": "text", "text": "b"]], [["type": "text", "text": "c"]], [["type": "text", "text": "d"]],
            ])
        // Nothing but the content changes.
        let answer = try JSONValue(parsing: tree.context(of: tree.leafID).messages[1].json)
        #expect(answer["stopReason"] == "stop")
        #expect(answer["model"] == "claude-test")
    }

    @Test func `a later edit brings back what an earlier one took out`() throws {
        let tree = try tree { builder in
            builder.user("1", nil)
            builder.add("2", "1", "context_edit", #""targetId":"1","replacement":null"#)
            builder.add("3", "2", "context_edit", #""targetId":"1","replacement":{"content":"back"}"#)
        }
        #expect(tree.outline("2").isEmpty)
        #expect(try content(tree, "3") == ["back"])
    }

    @Test func `an edit before the compaction's kept entries no longer counts`() throws {
        let tree = try tree { builder in
            builder.user("1", nil)
            builder.user("2", "1")
            builder.add("3", "2", "context_edit", #""targetId":"2","replacement":null"#)
            builder.user("4", "3")
            builder.compaction("5", "4", keep: "2")
            builder.compaction("6", "4", keep: "4")
        }
        #expect(tree.outline("5") == ["compactionSummary:5", "4"])
        #expect(tree.outline("6") == ["compactionSummary:6", "4"])
    }

    @Test func `edits of what is not there, of labels and of unknown entries change nothing`() throws {
        let tree = try tree { builder in
            builder.user("1", nil)
            builder.add("2", "1", "label", #""targetId":"1","label":"l""#)
            builder.add("3", "2", "context_edit", #""targetId":"2","replacement":{"content":"x"}"#)
            builder.add("4", "3", "context_edit", #""targetId":"nowhere","replacement":null"#)
            builder.add("5", "4", "context_edit", #""targetId":"1","replacement":{"text":"no content"}"#)
        }
        #expect(try content(tree, "5") == ["1"])
    }

    @Test func `a compaction that carries its tail needs no kept entry, an empty tail keeps none`() throws {
        let tree = try tree { builder in
            builder.user("1", nil)
            builder.add(
                "2", "1", "compaction",
                #""summary":"s","tokensBefore":1,"retainedTail":[{"role":"user","content":"t","timestamp":3}]"#)
            builder.user("3", "2")
            builder.add(
                "4", "1", "compaction", #""summary":"s","firstKeptEntryId":"1","tokensBefore":1,"retainedTail":[]"#)
        }
        #expect(tree.outline("3") == ["compactionSummary:2", "2", "3"])
        #expect(tree.outline("4") == ["compactionSummary:4"])
    }

    @Test func `a compaction of all keeps nothing before itself, and everything after`() throws {
        let tree = try tree { builder in
            builder.user("1", nil)
            builder.assistant("2", "1")
            builder.compaction("3", "2", keep: "3")
            builder.user("4", "3")
            builder.assistant("5", "4")
        }
        #expect(tree.outline("5") == ["compactionSummary:3", "4", "5"])
        #expect(tree.context(of: EntryID(unchecked: "3")).settings.model?.id == "claude-test")
    }
}
