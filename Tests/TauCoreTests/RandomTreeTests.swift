import TauCore
import TauTestKit
import Testing

/// Sessions that nobody would write by hand, against the rules written down a second time, as plainly as they can be.
@Suite struct RandomTreeTests {
    @Test(arguments: 0..<60)
    func `what is written is read back as the same tree, and any leaf's context is what the rules say`(
        _ seed: UInt64
    ) throws {
        var generator = SeededGenerator(seed: seed)
        let lines = RandomLines(count: Int.random(in: 1...120, using: &generator), using: &generator).lines
        let header = #"{"type":"session","version":3,"id":"random","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/"}"#
        let bytes = Array(([header] + lines).map { $0 + "\n" }.joined().utf8)
        let file = try SessionFile(parsing: bytes)
        #expect(file.bytes == bytes)
        #expect(file.findings.isEmpty)
        let tree = SessionTree(file)

        // Entry by entry, as it is appended while it lives.
        var grown = SessionTree(SessionFile(header: file.header))
        for entry in file.entries { grown.append(entry) }
        #expect(grown.totals == tree.totals)
        #expect(grown.labels == tree.labels)
        #expect(grown.nodes == tree.nodes)
        #expect(SessionFile(header: file.header, entries: grown.entries).bytes == bytes)

        let naive = try NaiveSession(lines)
        for leaf in tree.entries.map(\.id) {
            let context = tree.context(of: leaf)
            let expected = naive.context(of: leaf.rawValue)
            try #require(try context.messages.map { try JSONValue(parsing: $0.json) } == expected.messages)
            #expect(context.settings.thinkingLevel == expected.thinkingLevel)
            #expect(context.settings.model?.description == expected.model)
            #expect(tree.branch(to: leaf).map { tree.entries[$0].id.rawValue } == naive.path(to: leaf.rawValue))
        }
    }
}

/// Lines of a session: every type, each entry hanging on any earlier one.
private struct RandomLines {
    private(set) var lines: [String] = []
    private var ids: [String] = []

    init(count: Int, using generator: inout SeededGenerator) {
        for number in 0..<count {
            let id = "id\(number)"
            let parent = Int.random(in: 0..<6, using: &generator) == 0 ? ids.randomElement(using: &generator) : ids.last
            lines.append(Self.line(number, id, parent, any: ids.randomElement(using: &generator) ?? id, &generator))
            ids.append(id)
        }
    }

    private static func line(
        _ number: Int, _ id: String, _ parent: String?, any: String, _ generator: inout SeededGenerator
    ) -> String {
        let base =
            #""id":"\#(id)","parentId":\#(parent.map { "\"\($0)\"" } ?? "null"),"timestamp":"2026-01-01T00:00:0\#(number % 10).000Z""#
        func message(_ fields: String) -> String {
            #"{"type":"message",\#(base),"message":{\#(fields),"timestamp":\#(1_700_000_000_000 + number)}}"#
        }
        let content = #""content":[{"type":"text","text":"text \#(number) \u2028 é"}]"#
        switch Int.random(in: 0..<18, using: &generator) {
        case 0...3: return message(#""role":"user","content":"question \#(number)""#)
        case 4...6:
            return message(
                #""role":"assistant",\#(content),"provider":"p","model":"m\#(number % 4)","stopReason":"stop""#)
        case 7: return message(#""role":"toolResult","toolCallId":"c","toolName":"t",\#(content),"isError":false"#)
        case 8: return message(#""role":"system",\#(content)"#)
        case 9: return #"{"type":"thinking_level_change",\#(base),"thinkingLevel":"level\#(number % 3)"}"#
        case 10: return #"{"type":"model_change",\#(base),"provider":"q","modelId":"n\#(number % 4)"}"#
        case 11:
            let kept =
                [#","firstKeptEntryId":"\#(any)""#, #","firstKeptEntryId":"nowhere""#, ""]
                .randomElement(using: &generator) ?? ""
            let tail =
                Int.random(in: 0..<4, using: &generator) == 0
                ? #","retainedTail":[{"role":"user","content":"tail \#(number)","timestamp":1}]"# : ""
            let system =
                Int.random(in: 0..<4, using: &generator) == 0
                ? #","systemMessage":{"role":"system","content":"system \#(number)","timestamp":1}"# : ""
            return
                #"{"type":"compaction",\#(base),"summary":"sum \#(number)"\#(kept),"tokensBefore":\#(number)\#(tail)\#(system)}"#
        case 12:
            let summary = Bool.random(using: &generator) ? "branch \(number)" : ""
            return #"{"type":"branch_summary",\#(base),"fromId":"\#(any)","summary":"\#(summary)"}"#
        case 13:
            return #"{"type":"custom_message","customType":"c","content":"custom \#(number)","display":true,\#(base)}"#
        case 14:
            let replacement = Bool.random(using: &generator) ? "null" : #"{"content":"edited \#(number)"}"#
            return #"{"type":"context_edit",\#(base),"targetId":"\#(any)","replacement":\#(replacement)}"#
        case 15: return #"{"type":"label",\#(base),"targetId":"\#(any)","label":"l\#(number)"}"#
        case 16: return #"{"type":"leaf",\#(base),"targetId":"\#(any)"}"#
        default: return #"{"type":"of_the_future",\#(base),"x":[1.0,{"y":null}]}"#
        }
    }
}

/// The rules of a context, with no thought of speed.
private struct NaiveSession {
    private var entries: [String: JSONValue] = [:]

    init(_ lines: [String]) throws {
        for line in lines {
            let json = try JSONValue(parsing: line.utf8)
            entries[json["id"]?.string ?? ""] = json
        }
    }

    func path(to leaf: String) -> [String] {
        var path: [String] = []
        var next: String? = leaf
        while let id = next, let entry = entries[id] {
            path.insert(id, at: 0)
            next = entry["parentId"]?.string
        }
        return path
    }

    func context(of leaf: String) -> (messages: [JSONValue], thinkingLevel: String, model: String?) {
        let path = path(to: leaf).compactMap { entries[$0] }
        var level = "off"
        var model: String?
        for entry in path {
            if let new = entry["thinkingLevel"]?.string { level = new }
            if entry["type"] == "model_change" { model = "q/\(entry["modelId"]?.string ?? "")" }
            if entry["message"]?["role"] == "assistant" { model = "p/\(entry["message"]?["model"]?.string ?? "")" }
        }
        var selected: [JSONValue] = path
        var messages: [(id: String?, json: JSONValue)] = []
        if let place = path.lastIndex(where: { $0["type"] == "compaction" }) {
            let compaction = path[place]
            let id = compaction["id"]?.string
            if let system = compaction["systemMessage"] { messages.append((id, system)) }
            messages.append(
                (
                    id,
                    [
                        "role": "compactionSummary", "summary": compaction["summary"] ?? .null,
                        "tokensBefore": compaction["tokensBefore"] ?? .null, "timestamp": time(compaction),
                    ]
                ))
            var kept: [JSONValue] = []
            if let tail = compaction["retainedTail"]?.array {
                for message in tail { messages.append((id, message)) }
            } else if let first = path[..<place].firstIndex(where: { $0["id"] == compaction["firstKeptEntryId"] }) {
                kept = path[first..<place].filter { $0["message"]?["role"] != "system" }
            }
            selected = kept + path[(place + 1)...]
        }
        for entry in selected {
            if let message = projection(of: entry) { messages.append((entry["id"]?.string, message)) }
        }
        for (index, message) in messages.enumerated() {
            // Only what a user, an assistant, a tool or an extension said can be edited.
            let editable = ["user", "assistant", "toolResult", "custom"].contains(message.json["role"]?.string)
            guard editable, entries[message.id ?? ""]?["type"] != "compaction" else { continue }
            let edits = selected.filter { $0["type"] == "context_edit" && $0["targetId"]?.string == message.id }
            if let edit = edits.last { messages[index].json = edited(message.json, edit) }
        }
        return (messages.map(\.json).filter { !$0.isNull }, level, model)
    }

    private func projection(of entry: JSONValue) -> JSONValue? {
        switch entry["type"]?.string {
        case "message": return entry["message"]
        case "custom_message":
            return [
                "role": "custom", "customType": "c", "content": entry["content"] ?? .null, "display": true,
                "timestamp": time(entry),
            ]
        case "branch_summary" where entry["summary"] != "":
            return [
                "role": "branchSummary", "summary": entry["summary"] ?? .null, "fromId": entry["fromId"] ?? .null,
                "timestamp": time(entry),
            ]
        default: return nil
        }
    }

    /// Null where the edit takes the message away.
    private func edited(_ message: JSONValue, _ edit: JSONValue) -> JSONValue {
        guard let content = edit["replacement"]?["content"] else { return .null }
        guard var object = message.object else { return message }
        let isBlocks = message["role"] == "assistant" || message["role"] == "toolResult"
        object.update("content", to: isBlocks ? [["type": "text", "text": content]] : content)
        return .object(object)
    }

    private func time(_ entry: JSONValue) -> JSONValue {
        .integer(Int(Timestamp(entry["timestamp"]?.string ?? "")?.milliseconds ?? 0))
    }
}
