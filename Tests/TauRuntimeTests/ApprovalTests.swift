import ServiceLifecycle
import TauCore
import TauTestKit
import Testing

@testable import TauRuntime

/// Tool calls that need a person's word.
@Suite(.timeLimit(.minutes(1))) struct ApprovalTests {
    let ran = Counter()

    func tools() -> StubTools {
        let ran = ran
        let asked = StubTool("asked") { _ in
            ran.add(1)
            return ToolOutput(text: "ran")
        }
        let free = StubTool("free") { _ in ToolOutput(text: "free") }
        return StubTools(tools: [asked, free], askFirst: ["asked"])
    }

    static let turns: [StubProvider.Turn] = [
        StubProvider.calls([("a", "asked", #"{"x":1}"#), ("b", "free", "{}"), ("c", "asked", "{}")]),
        StubProvider.text("done"),
    ]

    func harness(
        _ turns: [StubProvider.Turn] = turns, limits: RuntimeLimits = RuntimeLimits(), after: RuntimeHarness? = nil
    ) -> RuntimeHarness {
        // Waits for a person take their time.
        RuntimeHarness(
            turns: turns, tools: tools(), limits: limits, store: after?.store ?? MemorySessionStore(),
            runs: after?.runs ?? MemoryRunStore(), waits: true)
    }

    func waitForApprovals(_ run: ActiveRun, _ count: Int) async {
        while run.snapshot.pendingApprovals.count != count { await Task.yield() }
    }

    func results(_ events: [JSONValue]) -> [String?] {
        events.filter { $0["type"] == "message_end" && $0["message"]?["role"] == "toolResult" }
            .map { $0["message"]?["content"]?.array?.first?["text"]?.string }
    }

    @Test func `nothing of the turn is run before everything is decided`() async throws {
        try await harness().use { harness in
            let run = try await harness.start("go", in: try await harness.newSession())
            await waitForApprovals(run, 2)
            #expect(run.snapshot.status == .waiting)
            #expect(run.snapshot.pendingApprovals.map(\.id) == ["a", "c"])
            _ = try await harness.runtime.decide("a", of: run.id, ApprovalDecision(isApproved: true))
            #expect(run.snapshot.pendingApprovals.map(\.id) == ["c"])
            #expect(ran.current == 0)
            await #expect(throws: RuntimeError.self) {
                _ = try await harness.runtime.decide("a", of: run.id, ApprovalDecision(isApproved: false))
            }
            await #expect(throws: RuntimeError.self) {
                _ = try await harness.runtime.decide("b", of: run.id, ApprovalDecision(isApproved: true))
            }
            _ = try await harness.runtime.decide(
                "c", of: run.id, ApprovalDecision(isApproved: false, reason: "too risky"))
            let events = try await run.allEvents()
            #expect(run.snapshot.status == .completed)
            #expect(ran.current == 1)
            #expect(results(events) == ["The call of asked was not approved: too risky", "ran", "free"])
            let asked = events.filter { $0["type"] == "approval_required" }
            #expect(asked.map { $0["toolCallId"]?.string } == ["a", "c"])
            #expect(asked.first?["arguments"] == ["x": 1])
            #expect(asked.first?["toolName"] == "asked")
            #expect(try await harness.runs.unfinishedRecords().isEmpty)
        }
    }

    @Test func `who says nothing in time has said no`() async throws {
        var limits = RuntimeLimits()
        limits.approvalSeconds = 1
        // The jumping clock: the second is over at once.
        let harness = RuntimeHarness(turns: Self.turns, tools: tools(), limits: limits)
        let events = try await harness.use { try await $0.run("go", in: try await $0.newSession()) }
        #expect(events.last?["run"]?["status"] == "completed")
        #expect(ran.current == 0)
        #expect(results(events).count { $0 == "The call of asked was not approved: nobody decided in time" } == 2)
    }

    @Test func `a cancel ends the waiting, and every call has a result`() async throws {
        try await harness().use { harness in
            let run = try await harness.start("go", in: try await harness.newSession())
            await waitForApprovals(run, 2)
            _ = try await harness.runtime.cancel(run.id)
            let events = try await run.allEvents()
            #expect(run.snapshot.status == .cancelled)
            #expect(results(events).count == 3)
            #expect(ran.current == 0)
        }
    }

    /// Runs until the run waits, then stops as a server does.
    func stopWhileWaiting(
        _ harness: RuntimeHarness, decide: @escaping @Sendable (ActiveRun) async throws -> Void = { _ in }
    ) async throws -> ActiveRun {
        let (runs, continuation) = AsyncStream.makeStream(of: ActiveRun.self, bufferingPolicy: .bufferingOldest(1))
        let group = ServiceGroup(configuration: .init(services: [harness.runtime.supervisor], logger: quiet))
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let run = try await harness.start("go", in: try await harness.newSession())
            await waitForApprovals(run, 2)
            try await decide(run)
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            await harness.runtime.close()
            continuation.yield(run)
            for await run in runs { return run }
            throw CancellationError()
        }
    }

    @Test func `a run that waits outlives its server, with what was decided`() async throws {
        let first = harness()
        let stopped = try await stopWhileWaiting(first) { run in
            _ = try await first.runtime.decide("a", of: run.id, ApprovalDecision(isApproved: true))
        }
        #expect(stopped.snapshot.status == .waiting)
        let lastEvent = try #require(try await first.runs.record(of: stopped.id)?.suspension?.lastEvent)
        #expect(lastEvent >= stopped.journal.lastNumber)

        let second = harness([StubProvider.text("done")], after: first)
        try await second.runtime.resume()
        try await second.use { second in
            let run = try second.runtime.run(stopped.id)
            let told = try #require(try await run.journal.events(after: lastEvent))
            #expect(told.first?.number == lastEvent + 1)
            #expect(run.snapshot.status == .waiting)
            #expect(run.snapshot.pendingApprovals.map(\.id) == ["c"])
            #expect(try await second.runs.record(of: run.id)?.suspension?.decisions.keys.sorted() == ["a"])
            // Nobody else gets the session meanwhile.
            await #expect(throws: RuntimeError.self) { _ = try await second.start("me", in: run.sessionID) }
            _ = try await second.runtime.decide("c", of: run.id, ApprovalDecision(isApproved: true))
            var numbers: [Int] = []
            while let records = try await run.journal.events(after: numbers.last ?? 0) {
                numbers += records.map(\.number)
            }
            #expect(numbers.first == lastEvent + 1)
            #expect(run.snapshot.status == .completed)
            #expect(ran.current == 2)
            let roles = second.store.entries(of: run.sessionID).compactMap { $0.json["message"]?["role"]?.string }
            #expect(roles == ["user", "assistant", "toolResult", "toolResult", "toolResult", "assistant"])
            #expect(second.provider.requests.first?.messages.count == 5)
        }
    }

    @Test func `a run that was at work when its server died was interrupted`() async throws {
        let first = harness()
        let stopped = try await stopWhileWaiting(first)
        var run = stopped.snapshot
        run.status = .running
        first.runs.note(RunRecord(run: run))
        let second = harness([StubProvider.text("done")], after: first)
        try await second.runtime.resume()
        #expect(try await second.runtime.snapshot(of: run.id).status == .interrupted)
        // The next message finds the calls answered.
        let session = run.sessionID
        try await second.use { second in
            let events = try await second.run("again", in: session)
            #expect(events.last?["run"]?["status"] == "completed")
        }
        #expect(ran.current == 0)
        #expect(second.provider.requests.first?.messages.count == 6)
    }

    @Test func `what is remembered of a run is the run`() throws {
        var run = Run(
            id: RunID(unchecked: "r"), sessionID: SessionID(unchecked: "s"), status: .waiting,
            createdAt: Timestamp(milliseconds: 1), model: ModelReference(provider: "p", id: "m/n"),
            choice: AutomaticChoice(tier: "simple", reason: "short"), leafID: EntryID(unchecked: "e"), node: "n")
        run.startedAt = Timestamp(milliseconds: 2)
        run.usage = Usage(input: 1, output: 2, cost: nil)
        run.failure = Run.Failure(code: "c", message: "m")
        run.pendingApprovals = [
            ToolCall(id: "a", name: "t", arguments: JSONObject(members: [.init(key: "x", value: 1)]))
        ]
        var suspension = RunRecord.Suspension(
            expiresAt: Timestamp(milliseconds: 9), lastEvent: 7, turns: 3, maxTurns: 10, maxCost: 0.5,
            thinkingLevel: .high, fallbacks: [ModelReference(provider: "o", id: "x")])
        suspension.decisions = ["a": ApprovalDecision(isApproved: false, reason: "no")]
        let record = RunRecord(run: run, suspension: suspension)
        let copy = try #require(RunRecord(json: try JSONValue(parsing: record.serialized)))
        #expect(copy.suspension == suspension)
        #expect(copy.serialized == record.serialized)
    }
}
