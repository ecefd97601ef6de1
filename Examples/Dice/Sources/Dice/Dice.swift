import TauKit

struct Dice: TypedTool {
    struct Arguments: ToolArguments {
        static let schema: JSONValue = ["type": "object", "properties": ["times": ["type": "integer", "minimum": 1]]]
        var times: Int?
    }
    let definition = ToolDefinition(name: "roll", description: "Rolls dice.", arguments: Arguments.self)

    func run(_ arguments: Arguments, _ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput {
        ToolOutput(text: (0..<(arguments.times ?? 1)).map { _ in "a \(Int.random(in: 1...6))" }.joined(separator: ", "))
    }
}

@main struct Main {
    static func main() async throws {
        let storage = try AgentStorage.jsonl(directory: "dice-data")
        let models = try AgentModels.scripted()  // `.known("anthropic", key: …)` asks a real one.
        try await withAgent(storage: storage, models: models, tools: .own([Dice()])) { agent in
            let session = try await agent.newSession()
            for try await update in try await agent.send("Use roll with times=2.", to: session).updates {
                if case .text(let text) = update { print(text, terminator: "") }
            }
            print()
        }
    }
}
