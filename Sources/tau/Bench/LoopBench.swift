internal import Logging
internal import Synchronization
internal import TauCore
internal import TauKit
internal import TauRuntime

/// What the loop itself costs: a model that answers at once, a tool that does nothing, sessions in memory.
struct LoopBench {
    private static let turns = 20
    private static let runs = 300

    func turns() async throws -> [Figure] {
        let clock = ContinuousClock()
        let timings = try await withAgent(
            storage: AgentStorage(sessions: BenchSessionStore()),
            models: .provider(BenchProvider(turns: Self.turns), models: [BenchProvider.model]),
            tools: .own([BenchTool()]), logger: Logger(label: "bench") { _ in SwiftLogNoOpLogHandler() }
        ) { agent in
            var timings: [Double] = []
            for _ in 0..<Self.runs {
                let session = try await agent.newSession()
                let start = clock.now
                let run = try await agent.send("Go.", to: session)
                var number = 0
                while let records = try await run.journal.events(after: number) { number = records.last?.number ?? 0 }
                timings.append((clock.now - start).milliseconds / Double(Self.turns))
                guard run.snapshot.status == .completed else {
                    throw ConfigurationFailure(key: "bench", problem: "a run ended as \(run.snapshot.status)")
                }
            }
            return Timings(Array(timings.dropFirst(Self.runs / 10)))
        }
        return [
            Figure("one turn of the loop beyond the model, p50", timings.percentile(0.5), "ms", atMost: 1),
            Figure("one turn of the loop beyond the model, p99", timings.percentile(0.99), "ms"),
        ]
    }
}

/// Calls a tool in every turn but the last.
private struct BenchProvider: ModelProvider {
    let turns: Int
    let name = "bench"
    static let model = ModelDescription(
        reference: ModelReference(provider: "bench", id: "instant"), name: "Instant", api: "bench",
        contextWindow: 1_000_000, maxOutputTokens: 8192, prices: .free)

    func stream(_ request: ModelRequest, to sink: (ModelEvent) -> Void) async throws(ProviderError) -> ModelReply {
        sink(.textStart(index: 0))
        for _ in 0..<5 { sink(.textDelta(index: 0, "a few words ")) }
        sink(.textEnd(index: 0))
        sink(.usage(Usage(input: 100, output: 20)))
        guard request.messages.count < 2 * turns - 1 else { return ModelReply(stopReason: .stop) }
        sink(.toolCallStart(index: 1, id: "call_\(request.messages.count)", name: "nothing"))
        sink(.toolCallDelta(index: 1, #"{"how":"not at all"}"#))
        sink(.toolCallEnd(index: 1))
        return ModelReply(stopReason: .toolUse)
    }
}

private struct BenchTool: Tool {
    let definition = ToolDefinition(
        name: "nothing", description: "Does nothing.",
        parameters: ["type": "object", "properties": ["how": ["type": "string"]], "required": ["how"]])

    func run(_ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput { ToolOutput(text: "done") }
}

/// Keeps nothing: what a session is made of stays in the runtime.
private struct BenchSessionStore: SessionStore {
    private static let unsupported = StoreError(.unavailable, "not a part of this measurement")

    func create(_ file: SessionFile, owner: Owner) async throws(StoreError) {}
    func open(_ id: SessionID) async throws(StoreError) -> SessionFile { throw Self.unsupported }
    func read(_ id: SessionID) async throws(StoreError) -> SessionFile { throw Self.unsupported }
    func append(
        _ entries: [Entry], to id: SessionID, after expected: EntryID?, runs: [RunRecord]
    ) async throws(StoreError) {}
    func close(_ id: SessionID) async {}
    func delete(_ id: SessionID) async throws(StoreError) {}
    func export(_ id: SessionID) async throws(StoreError) -> SessionExport { throw Self.unsupported }
    func list(_ query: SessionQuery) async throws(StoreError) -> SessionPage { throw Self.unsupported }
    func checkHealth() async throws(StoreError) {}
}
