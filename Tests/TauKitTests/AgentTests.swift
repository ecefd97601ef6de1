import Logging
import TauKit
import TauTestKit
import Testing

/// An agent inside a program.
@Suite(.timeLimit(.minutes(1))) struct AgentTests {
    static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    struct Adder: Tool {
        let definition = ToolDefinition(
            name: "add", description: "Adds.",
            parameters: [
                "type": "object", "properties": ["a": ["type": "integer"], "b": ["type": "integer"]],
                "required": ["a", "b"],
            ])

        func run(_ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput {
            let (a, b) = (invocation.arguments["a"]?.integer, invocation.arguments["b"]?.integer)
            guard let a, let b else { throw ToolFailure(.invalidArguments, "two numbers") }
            return ToolOutput(text: "\(a + b)")
        }
    }

    /// Says what the last tool has answered.
    struct Repeater: ModelProvider {
        let name = "own"
        static let model = ModelDescription(
            reference: ModelReference(provider: "own", id: "repeater"), name: "Repeater", api: "own",
            contextWindow: 10_000, maxOutputTokens: 100, prices: .free)

        func stream(
            _ request: ModelRequest, to sink: (ModelEvent) -> Void
        ) async throws(ProviderError) -> ModelReply {
            if case .toolResult(let result)? = request.messages.last {
                sink(.textStart(index: 0))
                sink(.textDelta(index: 0, "It is \(result.content.first?.text ?? "nothing")."))
                sink(.textEnd(index: 0))
                return ModelReply(stopReason: .stop)
            }
            sink(.toolCallStart(index: 0, id: "c", name: "add"))
            sink(.toolCallDelta(index: 0, #"{"a":20,"b":22}"#))
            sink(.toolCallEnd(index: 0))
            return ModelReply(stopReason: .toolUse)
        }
    }

    @Test func `own store, own model and own tool make an agent`() async throws {
        let store = MemorySessionStore()
        let updates = try await withAgent(
            storage: AgentStorage(sessions: store), models: .provider(Repeater(), models: [Repeater.model]),
            tools: .own([Adder()]), logger: Self.quiet
        ) { agent in
            let run = try await agent.send("What is 20 + 22?", to: try await agent.newSession())
            var lines: [String] = []
            for try await update in run.updates {
                switch update {
                case .text(let text): lines.append("text \(text)")
                case .thinking: lines.append("thinking")
                case .toolCall(let call): lines.append("call \(call.name) \(JSONValue.object(call.arguments).text)")
                case .toolResult(_, let text, let isError): lines.append("result \(text) \(isError)")
                case .approvalRequired(let call): lines.append("approval \(call.name)")
                case .state(let run): lines.append("\(run.status)")
                }
            }
            return lines
        }
        #expect(
            updates == ["running", #"call add {"a":20,"b":22}"#, "result 42 false", "text It is 42.", "completed"])
    }

    @Test func `a tool that asks is decided on by the program`() async throws {
        let last = try await withAgent(
            storage: AgentStorage(sessions: MemorySessionStore()),
            models: .provider(Repeater(), models: [Repeater.model]), tools: .own([Adder()], asking: ["add"]),
            logger: Self.quiet
        ) { agent in
            let run = try await agent.send("Go.", to: try await agent.newSession())
            for try await update in run.updates {
                guard case .approvalRequired(let call) = update else { continue }
                _ = try await agent.runtime.decide(call.id, of: run.id, ApprovalDecision(isApproved: true))
            }
            return run.snapshot
        }
        #expect(last.status == .completed)
    }

    @Test func `what body throws comes through, and the agent is closed`() async throws {
        struct Mine: Error {}
        await #expect(throws: Mine.self) {
            try await withAgent(
                storage: AgentStorage(sessions: MemorySessionStore()), models: try .scripted(logger: Self.quiet),
                logger: Self.quiet
            ) { _ in throw Mine() }
        }
    }
}
