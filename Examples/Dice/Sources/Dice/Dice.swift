import TauKit

struct Dice: Tool {
    let definition = ToolDefinition(name: "roll", description: "Rolls a die.", parameters: ["type": "object"])

    func run(_ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput {
        ToolOutput(text: "a \(Int.random(in: 1...6))")
    }
}

@main struct Main {
    static func main() async throws {
        let storage = try AgentStorage.jsonl(directory: "dice-data")
        // `.known("anthropic", key: …)` in its place asks a real model.
        let models = try AgentModels.scripted()
        try await withAgent(storage: storage, models: models, tools: .own([Dice()])) { agent in
            let session = try await agent.newSession()
            for try await update in try await agent.send("Use roll with times=1.", to: session).updates {
                if case .text(let text) = update { print(text, terminator: "") }
            }
            print()
        }
    }
}
