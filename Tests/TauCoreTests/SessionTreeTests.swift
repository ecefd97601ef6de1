import TauCore
import TauTestKit
import Testing

@Suite struct SessionTreeTests {
    @Test func `every append chains to the leaf and moves it`() throws {
        var builder = SessionBuilder()
        builder.user("1", nil)
        var tree = try builder.tree()
        let contents: [NewEntry] = [
            .message(.user(UserMessage(content: [.text("x")], timestamp: Timestamp(milliseconds: 9)))),
            .thinkingLevelChange(.high), .modelChange(ModelReference(provider: "p", id: "m")),
            .activeToolsChange(["read"]),
            .label(target: EntryID(unchecked: "1"), label: "l"), .sessionInfo(name: "n"),
            .custom(type: "t", data: ["a": 1]),
        ]
        for (number, content) in contents.enumerated() {
            let before = tree.leafID
            let entry = Entry(
                content, id: EntryID(unchecked: "n\(number)"), parentID: before, timestamp: Timestamp(milliseconds: 10))
            tree.append(entry)
            #expect(entry.parentID == before)
            #expect(tree.leafID == entry.id)
        }
        #expect(
            tree.entries.map(\.body.typeName).dropFirst() == [
                "message", "thinking_level_change", "model_change", "active_tools_change", "label", "session_info",
                "custom",
            ])
        #expect(tree.name == "n")
        #expect(tree.labels == [EntryID(unchecked: "1"): "l"])
        #expect(tree.settings(of: tree.leafID).activeToolNames == ["read"])
        #expect(tree.updatedAt == Timestamp(milliseconds: 9))
    }

    @Test func `new entries are written in Pi's order of keys`() {
        let time = Timestamp(milliseconds: 0)
        func line(_ content: NewEntry) -> String {
            let entry = Entry(content, id: EntryID(unchecked: "b"), parentID: EntryID(unchecked: "a"), timestamp: time)
            return String(decoding: entry.line, as: UTF8.self)
        }
        let base = #""id":"b","parentId":"a","timestamp":"1970-01-01T00:00:00.000Z""#
        #expect(line(.sessionInfo(name: "n")) == #"{"type":"session_info",\#(base),"name":"n"}"#)
        #expect(
            line(.label(target: EntryID(unchecked: "x"), label: nil)) == #"{"type":"label",\#(base),"targetId":"x"}"#)
        #expect(line(.custom(type: "t", data: [1])) == #"{"type":"custom","customType":"t","data":[1],\#(base)}"#)
        #expect(
            line(.modelChange(ModelReference(provider: "p", id: "m")))
                == #"{"type":"model_change",\#(base),"provider":"p","modelId":"m"}"#)
    }

    @Test func `labels: the last one counts, an empty one clears`() throws {
        var builder = SessionBuilder()
        builder.user("1", nil)
        builder.add("2", "1", "label", #""targetId":"1","label":"a""#)
        builder.add("3", "2", "label", #""targetId":"1","label":"b""#)
        #expect(try builder.tree().nodes[0].label == "b")
        builder.add("4", "3", "label", #""targetId":"1""#)
        #expect(try builder.tree().labels.isEmpty)
    }

    @Test func `the name is the last one, on one line, and an empty one clears it`() throws {
        var builder = SessionBuilder()
        builder.add("1", nil, "session_info", #""name":"  two\nlines ""#)
        #expect(try builder.tree().name == "two lines")
        builder.add("2", "1", "session_info", #""name":"""#)
        #expect(try builder.tree().name == nil)
    }

    @Test func `the time of change is that of the last message of user or assistant`() throws {
        var builder = SessionBuilder()
        #expect(try builder.tree().updatedAt.description == "2026-01-01T00:00:00.000Z")
        builder.user("1", nil, at: 1_800_000_000_000)
        builder.assistant("2", "1", at: 1_700_000_000_000)
        builder.add("3", "2", "session_info", #""name":"later""#)
        #expect(try builder.tree().updatedAt.milliseconds == 1_800_000_000_000)
    }

    @Test func `of an id that occurs twice the last entry counts`() throws {
        var builder = SessionBuilder()
        builder.user("1", nil, "first")
        builder.user("1", nil, "second")
        builder.user("2", "1")
        let tree = try builder.tree()
        #expect(tree.entries.count == 3)
        #expect(tree.branch(to: EntryID(unchecked: "2")) == [1, 2])
    }

    @Test func `several roots, orphans and unknown branches`() throws {
        var builder = SessionBuilder()
        builder.user("1", nil)
        builder.user("2", nil)
        builder.user("3", "missing")
        let tree = try builder.tree()
        #expect(tree.branch(to: EntryID(unchecked: "2")) == [1])
        #expect(tree.branch(to: EntryID(unchecked: "3")) == [2])
        #expect(tree.branch(to: EntryID(unchecked: "nowhere")).isEmpty)
        #expect(tree.branch(to: nil).isEmpty)
        #expect(tree.nodes.map(\.parentID?.rawValue) == [nil, nil, "missing"])
    }

    @Test func `previews are short and on one line`() throws {
        var builder = SessionBuilder()
        builder.user("1", nil, "a\\nb\\u001b[31m" + String(repeating: "x", count: 200))
        builder.add(
            "2", "1", "message",
            #""message":{"role":"assistant","content":[{"type":"toolCall","id":"c","name":"bash","arguments":{}}]}"#)
        let nodes = try builder.tree().nodes
        #expect(nodes[0].preview.hasPrefix("a b [31mxxx"))
        #expect(nodes[0].preview.unicodeScalars.count == 101)
        #expect(nodes[1].preview == "bash(…)")
        #expect(nodes[1].role == "assistant")
    }

    @Test func `a custom entry holds the metadata`() throws {
        var builder = SessionBuilder()
        builder.add("1", nil, "custom", #""customType":"tau.metadata","data":{"a":1}"#)
        builder.add("2", "1", "custom", #""customType":"other","data":{"b":1}"#)
        #expect(try builder.tree().metadata == JSONObject(members: [.init(key: "a", value: 1)]))
    }
}
