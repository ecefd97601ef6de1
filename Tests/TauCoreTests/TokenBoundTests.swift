import TauCore
import TauTestKit
import Testing

/// The bound of a prompt, before there is a request and from the request.
@Suite struct TokenBoundTests {
    private static let tools = [
        ToolDefinition(name: "read", description: "Reads a file.", parameters: ["type": "object"])
    ]

    private func bounds(_ context: ModelContext, _ model: ModelReference) -> (early: Int, late: Int) {
        let conversation = Conversation(context)
        let description = ModelDescription(
            reference: model, name: "x", api: "x", contextWindow: 1000, maxOutputTokens: 100, prices: nil)
        let request = ModelRequest(
            model: description, systemPrompt: conversation.systemPrompt ?? "Be brief.", messages: conversation.messages,
            tools: Self.tools, sessionID: SessionID(unchecked: "s"))
        let early = TokenEstimate.bound(
            of: context, for: model, defaultSystemPrompt: "Be brief.", tools: Self.tools)
        return (early, TokenEstimate.bound(of: request))
    }

    @Test(arguments: ["large-session", "before-compaction"])
    func `at every tenth entry of a real session it is hardly more than the request's`(_ name: String) throws {
        let tree = SessionTree(try SessionFile(parsing: try SharedData.bytes("pi/\(name).jsonl")))
        var models: Set<ModelReference> = [ModelReference(provider: "p", id: "unknown")]
        if let model = tree.summary.model { models.insert(model) }
        var counted = 0
        for place in stride(from: 0, to: min(tree.entries.count, 400), by: 10) {
            let context = tree.context(of: tree.entries[place].id)
            for model in models {
                let (early, late) = bounds(context, model)
                #expect(early >= late && early <= late + late / 10 + 100, "entry \(place): \(early), \(late)")
                if model.id != "unknown", early == late { counted += 1 }
            }
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
        let own = bounds(context, ModelReference(provider: "p", id: "m"))
        // 24 bytes of frame and 6 of text.
        #expect(own.early == 510 && own.late == 510)
        let other = bounds(context, ModelReference(provider: "p", id: "other"))
        #expect(other.early > 1000 && other.early == other.late)
    }
}
