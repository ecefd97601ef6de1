import TauCore
import TauTestKit
import Testing

/// The bound of a prompt's tokens.
@Suite struct TokenBoundTests {
    private static let tools = [
        ToolDefinition(name: "read", description: "Reads a file.", parameters: ["type": "object"])
    ]

    private func bound(_ context: ModelContext, _ model: ModelReference) -> Int {
        let conversation = Conversation(context)
        return TokenEstimate.bound(
            of: conversation.messages, systemPrompt: conversation.systemPrompt ?? "Be brief.", tools: Self.tools,
            for: model)
    }

    @Test(arguments: ["large-session", "before-compaction"])
    func `at every tenth entry of a real session it is what was counted and more, and not more than its bytes`(
        _ name: String
    ) throws {
        let tree = SessionTree(try SessionFile(parsing: try SharedData.bytes("pi/\(name).jsonl")))
        let model = try #require(tree.summary.model)
        var counted = 0
        for place in stride(from: 0, to: min(tree.entries.count, 400), by: 10) {
            let context = tree.context(of: tree.entries[place].id)
            let bytes = context.messages.reduce(0) { $0 + $1.json.count + 24 }
            let images = context.messages.count {
                String(decoding: $0.json, as: UTF8.self).contains(#""type":"image""#)
            }
            let unknown = bound(context, ModelReference(provider: "p", id: "unknown"))
            #expect(unknown > 0 && unknown <= (bytes + 4800 * images + 500) / 3, "entry \(place): \(unknown)")
            let answers = context.messages.compactMap { try? JSONValue(parsing: $0.json) }.filter {
                $0["role"] == "assistant" && $0["model"]?.string == model.id && $0["stopReason"] != "error"
                    && $0["stopReason"] != "aborted"
            }
            let usage = answers.last?["usage"]
            let last = ["input", "output", "cacheRead", "cacheWrite"].reduce(0) { $0 + (usage?[$1]?.integer ?? 0) }
            guard last > 0 else { continue }
            counted += 1
            #expect(bound(context, model) >= last, "entry \(place)")
        }
        #expect(counted > 0)
    }

    @Test func `what the model has counted is not counted again`() throws {
        func answer(_ model: String, _ tokens: Int) -> String {
            #"{"role":"assistant","content":[{"type":"text","text":"abc"}],"api":"a","provider":"p","model":"\#(model)","#
                + #""stopReason":"stop","timestamp":1,"usage":{"input":\#(tokens),"output":0,"totalTokens":\#(tokens)}}"#
        }
        let lines = [
            #"{"type":"session","version":3,"id":"s","timestamp":"1970-01-01T00:00:00.000Z","cwd":"/"}"#,
            #"{"type":"message","id":"00000001","parentId":null,"timestamp":"1970-01-01T00:00:00.000Z","#
                + #""message":{"role":"user","content":"\#(String(repeating: "x", count: 3000))","timestamp":1}}"#,
            #"{"type":"message","id":"00000002","parentId":"00000001","timestamp":"1970-01-01T00:00:00.000Z","#
                + #""message":\#(answer("m", 500))}"#,
            #"{"type":"message","id":"00000003","parentId":"00000002","timestamp":"1970-01-01T00:00:00.000Z","#
                + #""message":{"role":"user","content":"123456","timestamp":1}}"#,
        ]
        let tree = SessionTree(try SessionFile(parsing: Array((lines.joined(separator: "\n") + "\n").utf8)))
        let context = tree.context(of: tree.leafID)
        // 24 bytes of frame and 6 of text.
        #expect(bound(context, ModelReference(provider: "p", id: "m")) == 510)
        #expect(bound(context, ModelReference(provider: "p", id: "other")) > 1000)
    }
}
