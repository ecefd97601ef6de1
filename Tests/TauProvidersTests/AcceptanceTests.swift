import Logging
import Synchronization
import TauCore
import TauRuntime
import TauTestKit
import Testing

@testable import TauProviders

/// Whatever happens in a session, every dialect accepts what is made of it.
@Suite(.timeLimit(.minutes(2))) struct AcceptanceTests {
    // MARK: What the APIs demand

    static func problem(inMessages body: JSONValue) -> String? {
        let messages = body["messages"]?.array ?? []
        guard messages.last?["role"] == "user" else { return "the user does not speak last" }
        guard messages.first?["role"] == "user" else { return "the user does not speak first" }
        var open: [String] = []
        for message in messages {
            let blocks = message["content"]?.array ?? []
            if blocks.isEmpty { return "a message without content" }
            var answered: [String] = []
            var seenOther = false
            for block in blocks {
                switch block["type"]?.string {
                case "text":
                    seenOther = true
                    if block["text"]?.string?.contains(where: { !$0.isWhitespace }) != true { return "a blank text" }
                case "tool_result":
                    if seenOther { return "a result behind something else" }
                    answered.append(block["tool_use_id"]?.string ?? "")
                case "tool_use":
                    let id = block["id"]?.string ?? ""
                    if id.isEmpty || id.utf8.count > 64 || id.contains(where: { !isPlain($0) }) {
                        return "the id \(id)"
                    }
                    if block["input"]?.object == nil { return "arguments that are no object" }
                default: seenOther = true
                }
            }
            if message["role"] == "user" {
                if answered.sorted() != open.sorted() { return "calls \(open), results \(answered)" }
                open = []
            } else {
                if !open.isEmpty { return "calls without results: \(open)" }
                open = blocks.filter { $0["type"] == "tool_use" }.compactMap { $0["id"]?.string }
                if Set(open).count != open.count { return "one id twice: \(open)" }
            }
        }
        return nil
    }

    static func problem(inChat body: JSONValue, exactIDs: Bool) -> String? {
        let messages = body["messages"]?.array ?? []
        guard ["user", "tool"].contains(messages.last?["role"]) else { return "the model would speak twice" }
        var open: [String] = []
        for message in messages {
            guard message["role"] == "tool" else {
                if !open.isEmpty { return "calls without results: \(open)" }
                let calls = message["tool_calls"]?.array ?? []
                if calls.isEmpty, message["content"]?.string?.isEmpty ?? (message["content"]?.array == nil) {
                    return "a message without content"
                }
                open = calls.compactMap { $0["id"]?.string }
                if Set(open).count != open.count { return "one id twice: \(open)" }
                for id in open {
                    let isFitting =
                        exactIDs ? id.utf8.count == 9 && id.allSatisfy { $0 != "_" && $0 != "-" } : id.utf8.count <= 40
                    if !isFitting || id.isEmpty || id.contains(where: { !isPlain($0) }) { return "the id \(id)" }
                }
                continue
            }
            guard let place = open.firstIndex(of: message["tool_call_id"]?.string ?? "") else {
                return "a stray result"
            }
            open.remove(at: place)
        }
        return open.isEmpty ? nil : "calls without results: \(open)"
    }

    static func isPlain(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || character == "_" || character == "-")
    }

    static func problems(_ request: ModelRequest) -> [String] {
        let nine = ChatCompatibility(
            sendsThinkingAsText: true, needsAnswerAfterToolResults: true, toolCallIDs: .nineCharacters)
        var request = request
        var problems: [String?] = []
        request.model = model("messages", AnthropicProvider.api)
        problems.append(problem(inMessages: MessagesRequest(request: request).body).map { "messages: \($0)" })
        request.model = model("chat", OpenAIChatProvider.api)
        problems.append(
            problem(inChat: ChatRequest(request: request, compatibility: .conservative).body, exactIDs: false)
                .map { "chat: \($0)" })
        problems.append(
            problem(inChat: ChatRequest(request: request, compatibility: nine).body, exactIDs: true)
                .map { "nine: \($0)" })
        return problems.compactMap(\.self)
    }

    // MARK: What happens

    static func model(_ id: String, _ api: String) -> ModelDescription {
        ModelDescription(
            reference: ModelReference(provider: "random", id: id), name: id, api: api, contextWindow: 100_000,
            maxOutputTokens: 1000, prices: .free)
    }

    /// Answers, calls, breaks off, fails and falls silent as the dice fall, and checks what it is asked.
    final class RandomProvider: ModelProvider {
        let name = "random"
        private let generator: Mutex<SeededGenerator>
        private let found = Mutex<[String]>([])

        init(seed: UInt64) { generator = Mutex(SeededGenerator(seed: seed)) }

        var problems: [String] { found.withLock { $0 } }

        func roll(_ sides: Int) -> Int { generator.withLock { Int.random(in: 0..<sides, using: &$0) } }

        func stream(_ request: ModelRequest, to sink: (ModelEvent) -> Void) async throws(ProviderError) -> ModelReply {
            let problems = AcceptanceTests.problems(request)
            found.withLock { $0 += problems }
            if roll(8) == 0 { throw ProviderError(roll(2) == 0 ? .network : .refused, "before") }
            var index = 0
            if roll(3) == 0 {
                sink(.thinkingStart(index: index))
                sink(.thinkingDelta(index: index, ["hm", " ", ""][roll(3)]))
                sink(.thinkingEnd(index: index, signature: [nil, "", "signed", "reasoning"][roll(4)]))
                index += 1
            }
            if roll(3) > 0 {
                sink(.textStart(index: index))
                sink(.textDelta(index: index, ["Well.", "  ", "", "\u{0}😀"][roll(4)]))
                if roll(10) == 0 { throw ProviderError(.overloaded, "in the middle") }
                sink(.textEnd(index: index))
                index += 1
            }
            var hasCalls = false
            for number in 0..<roll(4) where roll(2) == 0 {
                hasCalls = true
                // Ids of other dialects, too long ones, and the same ones again and again.
                let long = String(repeating: "x", count: 80)
                let ids = ["call_\(number)", "call|fc_\(number)", "\(long)\(number)", "ünïcode \(number)", ""]
                sink(
                    .toolCallStart(
                        index: index, id: ids[roll(5)] + "-\(number)", name: ["ok", "unknown", "slow"][roll(3)]))
                sink(.toolCallDelta(index: index, ["{}", #"{"x":1}"#, #"{"x":"#, "[]"][roll(4)]))
                if roll(12) == 0 { throw ProviderError(.timedOut, "within a call") }
                sink(.toolCallEnd(index: index))
                index += 1
            }
            if roll(6) == 0 { await Task.yield() }
            if Task.isCancelled { throw ProviderError(.cancelled, "cancelled") }
            if roll(4) > 0 { sink(.usage(Usage(input: 10, output: 5))) }
            let reason: StopReason = roll(8) == 0 ? .length : hasCalls ? .toolUse : .stop
            return ModelReply(stopReason: reason)
        }
    }

    struct RandomCatalog: ModelCatalog {
        let random: RandomProvider
        var models: [ModelDescription] {
            [
                AcceptanceTests.model("messages", AnthropicProvider.api),
                AcceptanceTests.model("chat", OpenAIChatProvider.api),
            ]
        }
        var listings: [ModelListing] { [] }
        func model(_ reference: ModelReference) -> ModelDescription? { models.first { $0.reference == reference } }
        func choose(for task: ModelTask) -> ModelSelection? {
            ModelSelection(model: models[random.roll(2)], fallbacks: random.roll(2) == 0 ? [models[0]] : [])
        }
        func provider(named name: String) -> (any ModelProvider)? { random }
    }

    struct PlainTool: Tool {
        let definition: ToolDefinition
        init(_ name: String, isSequential: Bool) {
            definition = ToolDefinition(
                name: name, description: name,
                parameters: ["type": "object", "properties": ["x": ["type": "integer"]]], isSequential: isSequential)
        }
        func run(_ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput {
            for _ in 0..<3 { await Task.yield() }
            if Task.isCancelled { throw .aborted }
            return ToolOutput(text: "done")
        }
    }

    struct PlainTools: ToolCatalog {
        let tools: [any Tool] = [PlainTool("ok", isSequential: false), PlainTool("slow", isSequential: true)]
        var listings: [ToolListing] { tools.map { ToolListing(definition: $0.definition, policy: .allow) } }
        func toolbox(for session: SessionID) async throws(ToolFailure) -> Toolbox { Toolbox(tools: tools) }
        func removeWorkspace(of session: SessionID) async throws(ToolFailure) {}
    }

    @Test(arguments: 1...20)
    func `any turns, aborts and steers leave a session that every dialect accepts`(_ seed: Int) async throws {
        let provider = RandomProvider(seed: UInt64(seed))
        let times = Mutex<Int64>(1_700_000_000_000)
        let environment = RuntimeEnvironment(
            now: {
                Timestamp(
                    milliseconds: times.withLock {
                        $0 += 1; return $0
                    })
            }, clock: JumpingClock(), node: "t",
            logger: quiet)
        var limits = RuntimeLimits()
        limits.maxTurns = 8
        limits.circuit.failures = 1000
        let runtime = try AgentRuntime(
            store: MemorySessionStore(), runs: MemoryRunStore(), models: RandomCatalog(random: provider),
            tools: PlainTools(), environment: environment, limits: limits, defaultSystemPrompt: "Help.")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await runtime.supervisor.run() }
            defer { group.cancelAll() }
            let session = try await runtime.createSession(SessionDraft()).summary.id
            for number in 0..<40 {
                let model: ModelChoice =
                    [.session, .automatic, .named(AcceptanceTests.model("chat", "").reference)][provider.roll(3)]
                let request = RunRequest(content: [.text("message \(number)")], model: model)
                let run = try await runtime.startRun(request, in: session)
                for _ in 0..<provider.roll(4) {
                    for _ in 0..<provider.roll(20) { await Task.yield() }
                    // A run that has just ended takes nothing; that is no matter here.
                    switch provider.roll(3) {
                    case 0: _ = try await runtime.cancel(run.id)
                    default: _ = try? await runtime.queue([.text("and")], in: run.id, steers: provider.roll(2) == 0)
                    }
                }
                var last = 0
                while let records = try await run.journal.events(after: last) { last = records.last?.number ?? last }
                #expect(run.snapshot.status.isFinal)
                // The next message goes to any of them.
                let conversation = Conversation(try await runtime.context(of: session, leaf: nil).context)
                let next = Message.user(UserMessage(content: [.text("next")], timestamp: noTime))
                let problems = Self.problems(
                    ModelRequest(
                        model: AcceptanceTests.model("chat", ""), messages: conversation.messages + [next],
                        sessionID: session))
                #expect(problems.isEmpty, "\(problems)")
                try #require(provider.problems.isEmpty, "\(provider.problems)")
            }
        }
    }
}
