import Logging
import Synchronization
import TauCore
import TauRuntime
import TauTestKit

/// A provider whose turns are functions, taken in order.
final class StubProvider: ModelProvider {
    let maxConcurrentCalls: Int?
    typealias Turn = @Sendable (ModelRequest, (ModelEvent) -> Void) async throws(ProviderError) -> ModelReply

    let name: String
    private let turns: Mutex<[Turn]>
    private let received = Mutex<[ModelRequest]>([])

    init(_ turns: [Turn], name: String = "stub", maxConcurrentCalls: Int? = nil) {
        self.turns = Mutex(turns)
        self.name = name
        self.maxConcurrentCalls = maxConcurrentCalls
    }

    var requests: [ModelRequest] { received.withLock { $0 } }

    func stream(
        _ request: ModelRequest, to sink: (ModelEvent) -> Void
    ) async throws(ProviderError) -> ModelReply {
        received.withLock { $0.append(request) }
        let turn = turns.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        guard let turn else { throw ProviderError(.badRequest, "the script has no further turn") }
        return try await turn(request, sink)
    }

    static func text(_ text: String, stop: StopReason = .stop) -> Turn {
        { (_, sink) throws(ProviderError) in
            sink(.textStart(index: 0))
            sink(.textDelta(index: 0, text))
            sink(.textEnd(index: 0))
            sink(.usage(Usage(input: 10, output: 2)))
            return ModelReply(stopReason: stop)
        }
    }

    static func calls(_ calls: [(id: String, name: String, arguments: String)], stop: StopReason = .toolUse) -> Turn {
        { (_, sink) throws(ProviderError) in
            for (index, call) in calls.enumerated() {
                sink(.toolCallStart(index: index, id: call.id, name: call.name))
                sink(.toolCallDelta(index: index, call.arguments))
                sink(.toolCallEnd(index: index))
            }
            return ModelReply(stopReason: stop)
        }
    }
}

/// A tool that is a function.
struct StubTool: Tool {
    let definition: ToolDefinition
    let body: @Sendable (ToolInvocation) async throws(ToolFailure) -> ToolOutput

    init(
        _ name: String, isSequential: Bool = false, parameters: JSONValue = ["type": "object"],
        _ body: @escaping @Sendable (ToolInvocation) async throws(ToolFailure) -> ToolOutput
    ) {
        definition = ToolDefinition(
            name: name, description: name, parameters: parameters, isSequential: isSequential)
        self.body = body
    }

    func run(_ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput { try await body(invocation) }
}

struct StubTools: ToolCatalog {
    var tools: [StubTool] = []
    var askFirst: Set<String> = []

    var listings: [ToolListing] {
        tools.map {
            ToolListing(definition: $0.definition, policy: askFirst.contains($0.definition.name) ? .ask : .allow)
        }
    }

    func toolbox(for session: SessionID) async throws(ToolFailure) -> Toolbox { Toolbox(tools: tools) }
    func removeWorkspace(of session: SessionID) async throws(ToolFailure) {}
}

struct StubCatalog: ModelCatalog {
    let stub: StubProvider
    /// Takes over from the first one.
    var fallback: StubProvider?
    static let otherModel = ModelDescription(
        reference: ModelReference(provider: "other", id: "two"), name: "Other", api: "other", contextWindow: 1000,
        maxOutputTokens: 100, prices: .free)
    /// A dollar for a million tokens in, two for a million out.
    static let pricedModel = ModelDescription(
        reference: ModelReference(provider: "stub", id: "priced"), name: "Priced", api: "stub", contextWindow: 1000,
        maxOutputTokens: 1000, prices: Prices(input: 1, output: 2))
    static let unpricedModel = ModelDescription(
        reference: ModelReference(provider: "stub", id: "unpriced"), name: "Unpriced", api: "stub",
        contextWindow: 1000, maxOutputTokens: 100, prices: nil)
    static let model = ModelDescription(
        reference: ModelReference(provider: "stub", id: "one"), name: "Stub", api: "stub", contextWindow: 1000,
        maxOutputTokens: 100, prices: .free)

    var listings: [ModelListing] { [ModelListing(model: Self.model, isAvailable: true)] }
    func model(_ reference: ModelReference) -> ModelDescription? {
        [Self.model, Self.otherModel, Self.unpricedModel, Self.pricedModel].first { $0.reference == reference }
    }
    func choose(for task: ModelTask) -> ModelSelection? {
        ModelSelection(
            model: Self.model, choice: AutomaticChoice(tier: "simple", reason: "stubs are simple"),
            fallbacks: fallback == nil ? [] : [Self.otherModel])
    }
    func provider(named name: String) -> (any ModelProvider)? {
        name == "stub" ? stub : name == "other" ? fallback : nil
    }
}

/// A runtime over stubs, with its supervisor at work for the time of `body`.
struct RuntimeHarness {
    let store: MemorySessionStore
    let runs: MemoryRunStore
    let provider: StubProvider
    let runtime: AgentRuntime
    /// Waits of the runtime: none takes any time, and all are remembered.
    let clock = JumpingClock()

    /// `store` and `runs` of another harness make this one its next start.
    init(
        turns: [StubProvider.Turn] = [], fallback: StubProvider? = nil, tools: StubTools = StubTools(),
        limits: RuntimeLimits = RuntimeLimits(), store: MemorySessionStore = MemorySessionStore(),
        runs: MemoryRunStore = MemoryRunStore(), waits: Bool = false, maxConcurrentCalls: Int? = nil,
        ledger: StubLedger? = nil
    ) {
        self.store = store
        self.runs = runs
        provider = StubProvider(turns, maxConcurrentCalls: maxConcurrentCalls)
        let ticks = Mutex<Int64>(1_700_000_000_000)
        let environment = RuntimeEnvironment(
            now: {
                Timestamp(
                    milliseconds: ticks.withLock {
                        $0 += 1; return $0
                    })
            }, clock: waits ? ContinuousClock() : clock, spread: { 0 }, node: "test",
            logger: quiet)
        do throws(ToolFailure) {
            runtime = try AgentRuntime(
                store: store, runs: runs, ledger: ledger,
                budgets: BudgetSettings(rules: ledger.map { [$0.rule] } ?? []),
                models: StubCatalog(stub: provider, fallback: fallback), tools: tools,
                environment: environment, limits: limits, defaultSystemPrompt: "You help.")
        } catch {
            preconditionFailure("the stub tools are registered: \(error)")
        }
    }

    func use<Value: Sendable>(_ body: @Sendable (RuntimeHarness) async throws -> Value) async throws -> Value {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await runtime.supervisor.run() }
            defer { group.cancelAll() }
            return try await body(self)
        }
    }

    func newSession() async throws -> SessionID {
        try await runtime.createSession(SessionDraft()).summary.id
    }

    func start(_ text: String, in session: SessionID) async throws -> ActiveRun {
        try await runtime.startRun(RunRequest(content: [.text(text)]), in: session)
    }

    /// Runs a message to its end and gives its events.
    func run(_ text: String, in session: SessionID) async throws -> [JSONValue] {
        try await start(text, in: session).allEvents()
    }
}

extension ActiveRun {
    /// All events, once the run has ended.
    func allEvents() async throws -> [JSONValue] {
        var events: [JSONValue] = []
        var number = 0
        while let records = try await journal.events(after: number) {
            for record in records {
                events.append(try JSONValue(parsing: record.data))
                number = record.number
            }
        }
        return events
    }
}

/// The events in the words of the golden traces; Tau's own events are left out.
func trace(_ events: [JSONValue]) -> [String] {
    events.compactMap { event in
        let type = event["type"]?.string ?? ""
        switch type {
        case "run_state", "entry_appended": return nil
        case "message_start", "message_end":
            return "\(type)(\(described(event["message"], isEnd: type == "message_end")))"
        case "message_update": return "\(type)(\(event["assistantMessageEvent"]?["type"]?.string ?? ""))"
        case "tool_execution_start", "tool_execution_update": return "\(type)(\(event["toolCallId"]?.string ?? ""))"
        case "tool_execution_end":
            return "\(type)(\(event["toolCallId"]?.string ?? "")\(event["isError"]?.bool == true ? ":ERR" : ""))"
        case "turn_end": return "turn_end(results=\(event["toolResults"]?.array?.count ?? -1))"
        case "agent_end": return "agent_end(msgs=\(event["messages"]?.array?.count ?? -1))"
        default: return type
        }
    }
}

private func described(_ message: JSONValue?, isEnd: Bool) -> String {
    let role = message?["role"]?.string ?? ""
    switch role {
    case "assistant": return isEnd ? "assistant:\(message?["stopReason"]?.string ?? "")" : role
    case "toolResult":
        return "toolResult:\(message?["toolCallId"]?.string ?? "")\(message?["isError"]?.bool == true ? ":ERR" : "")"
    default: return role
    }
}

/// A gate that opens once.
final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

    func open() {
        state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }.forEach { $0.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }
}

/// Returns when the task is cancelled.
func untilCancelled() async {
    let gate = Gate()
    await withTaskCancellationHandler {
        await gate.wait()
    } onCancel: {
        gate.open()
    }
}

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A number that goes up and down, and remembers how far up it was.
final class Counter: Sendable {
    private let state = Mutex((current: 0, highest: 0))

    func add(_ change: Int) {
        state.withLock { state in
            state.current += change
            state.highest = max(state.highest, state.current)
        }
    }

    var current: Int { state.withLock { $0.current } }
    var highest: Int { state.withLock { $0.highest } }
}
