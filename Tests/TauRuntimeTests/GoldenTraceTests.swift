import TauCore
import TauRuntime
import TauTestKit
import Testing

/// The order of events against traces of the genuine Pi 0.58.3, with the later rules that Tau follows.
@Suite struct GoldenTraceTests {
    let golden: JSONValue

    init() throws { golden = try SharedData.json("pi/golden/agent-loop-traces.json") }

    /// A trace without the texts of errors, which are Tau's own.
    func expected(_ name: String) throws -> [String] {
        let lines = try #require(golden[name]?.array)
        return lines.compactMap(\.string).map { line in
            guard let mark = line.firstRange(of: ":ERR \"") else { return line }
            return line[..<mark.lowerBound] + ":ERR)"
        }
    }

    func traced(_ turns: [StubProvider.Turn], tools: StubTools = StubTools()) async throws -> [String] {
        var limits = RuntimeLimits()
        limits.retry.attempts = 0
        return try await RuntimeHarness(turns: turns, tools: tools, limits: limits).use { harness in
            trace(try await harness.run("go", in: try await harness.newSession()))
        }
    }

    static let ok: @Sendable (ToolInvocation) async throws(ToolFailure) -> ToolOutput = { _ in ToolOutput(text: "ok") }

    @Test func `a text answer`() async throws {
        #expect(try await traced([StubProvider.text("hi")]) == expected("text only"))
    }

    @Test func `parallel tools end in source order though the second is faster`() async throws {
        let fastIsDone = Gate()
        let slow = StubTool("slow") { invocation in
            await fastIsDone.wait()
            invocation.report(ToolOutput(text: "half"))
            return ToolOutput(text: "slow")
        }
        let fast = StubTool("fast") { _ in
            fastIsDone.open()
            return ToolOutput(text: "fast")
        }
        let turns = [StubProvider.calls([("a", "slow", "{}"), ("b", "fast", "{}")]), StubProvider.text("done")]
        #expect(
            try await traced(turns, tools: StubTools(tools: [slow, fast])) == expected("parallel: slow a + fast b"))
    }

    @Test func `a sequential tool makes its batch run one after the other`() async throws {
        let slow = StubTool("slow", isSequential: true) { invocation in
            invocation.report(ToolOutput(text: "half"))
            return ToolOutput(text: "slow")
        }
        let turns = [StubProvider.calls([("a", "slow", "{}"), ("b", "fast", "{}")]), StubProvider.text("done")]
        let tools = StubTools(tools: [slow, StubTool("fast", Self.ok)])
        #expect(try await traced(turns, tools: tools) == expected("sequential: slow a + fast b"))
    }

    @Test func `unknown, invalid, failing and forbidden calls are results that say so`() async throws {
        let bad = StubTool("bad", parameters: ["type": "object", "properties": ["x": ["type": "integer"]]], Self.ok)
        let boom = StubTool("boom") { (_) throws(ToolFailure) in throw ToolFailure(.failed, "boom") }
        let tools = StubTools(tools: [bad, boom, StubTool("asked", Self.ok)], askFirst: ["asked"])
        let calls = [
            ("a", "nope", "{}"), ("b", "bad", #"{"x":"no number"}"#), ("c", "boom", "{}"), ("d", "asked", "{}"),
        ]
        let turns = [StubProvider.calls(calls), StubProvider.text("done")]
        let events = try await RuntimeHarness(turns: turns, tools: tools).use { harness in
            let run = try await harness.start("go", in: try await harness.newSession())
            while run.snapshot.pendingApprovals.isEmpty { await Task.yield() }
            _ = try await harness.runtime.decide("d", of: run.id, ApprovalDecision(isApproved: false))
            return try await run.allEvents()
        }
        let own = ["approval_required"]
        #expect(
            try trace(events).filter { !own.contains($0) }
                == expected("unknown tool + invalid args + throwing tool + blocked"))
    }

    @Test func `steering waits until the whole batch has finished`() async throws {
        // Since Pi 0.58.4; the golden trace is of 0.58.3, which skipped the second call.
        let harness = RuntimeHarness(
            turns: [StubProvider.calls([("a", "one", "{}"), ("b", "two", "{}")]), StubProvider.text("done")],
            tools: StubTools(tools: [
                StubTool("one", isSequential: true) { _ in
                    await Self.entered.wait()
                    return ToolOutput(text: "one")
                }, StubTool("two", Self.ok),
            ]))
        let events = try await harness.use { harness in
            let session = try await harness.newSession()
            let run = try await harness.start("go", in: session)
            _ = try await harness.runtime.queue([.text("rather this")], in: run.id, steers: true)
            Self.entered.open()
            return try await run.allEvents()
        }
        let golden = try expected("steering arrives during tool a (sequential)")
        #expect(trace(events) == golden.map { $0.replacing("b:ERR", with: "b") })
    }

    @Test func `steering waits for the whole of a parallel batch, too`() async throws {
        // The golden trace skips what had not begun; since Pi 0.58.4 all three run, and so begin before the first one ends.
        let queued = Gate()
        let waits = StubTool("waits") { _ in
            await queued.wait()
            return ToolOutput(text: "done")
        }
        let calls = [("a", "waits", "{}"), ("b", "waits", "{}"), ("c", "waits", "{}")]
        let harness = RuntimeHarness(
            turns: [StubProvider.calls(calls), StubProvider.text("done")], tools: StubTools(tools: [waits]))
        let events = try await harness.use { harness in
            let run = try await harness.start("go", in: try await harness.newSession())
            _ = try await harness.runtime.queue([.text("rather this")], in: run.id, steers: true)
            queued.open()
            return try await run.allEvents()
        }
        var golden = try expected("steering found in preflight (parallel)").map { $0.replacing(":ERR", with: "") }
        golden.removeAll { $0 == "tool_execution_start(c)" }
        let place = try #require(golden.firstIndex(of: "tool_execution_start(b)"))
        golden.insert("tool_execution_start(c)", at: place + 1)
        #expect(trace(events) == golden)
    }

    private static let entered = Gate()

    @Test func `a follow-up is taken when the agent would stop`() async throws {
        let gate = Gate()
        let first: StubProvider.Turn = { (request, sink) throws(ProviderError) in
            await gate.wait()
            return try await StubProvider.text("first")(request, sink)
        }
        let events = try await RuntimeHarness(turns: [first, StubProvider.text("second")]).use { harness in
            let run = try await harness.start("go", in: try await harness.newSession())
            _ = try await harness.runtime.queue([.text("and then")], in: run.id, steers: false)
            gate.open()
            return try await run.allEvents()
        }
        #expect(try trace(events) == expected("follow-up once"))
    }

    @Test func `an error before the first event`() async throws {
        let fails: StubProvider.Turn = { (_, _) throws(ProviderError) in throw ProviderError(.overloaded, "overloaded")
        }
        #expect(try await traced([fails]) == expected("provider error before start"))
    }

    @Test func `an error in the middle keeps what was said`() async throws {
        let fails: StubProvider.Turn = { (request, sink) throws(ProviderError) in
            _ = try await StubProvider.text("half")(request, sink)
            throw ProviderError(.network, "cut")
        }
        #expect(try await traced([fails]) == expected("provider error mid-stream"))
    }

    @Test func `an abort while the model speaks keeps what was said`() async throws {
        let spoke = Gate()
        let waits: StubProvider.Turn = { (request, sink) throws(ProviderError) in
            _ = try await StubProvider.text("half")(request, sink)
            spoke.open()
            await untilCancelled()
            throw ProviderError(.cancelled, "cancelled")
        }
        let harness = RuntimeHarness(turns: [waits])
        let (events, saved) = try await harness.use { harness in
            let session = try await harness.newSession()
            let run = try await harness.start("go", in: session)
            await spoke.wait()
            _ = try await harness.runtime.cancel(run.id)
            let events = try await run.allEvents()
            #expect(run.snapshot.status == .cancelled)
            return (events, harness.store.entries(of: session).last?.json["message"])
        }
        #expect(try trace(events) == expected("abort while streaming"))
        #expect(saved?["stopReason"] == "aborted")
        #expect(saved?["content"]?.array?.first?["text"] == "half")
    }

    @Test func `an abort while tools run gives every call a result and stops there`() async throws {
        let started = Gate()
        let waits = StubTool("waits") { (_) throws(ToolFailure) in
            started.open()
            await untilCancelled()
            throw ToolFailure.aborted
        }
        let turns = [StubProvider.calls([("a", "waits", "{}"), ("b", "waits", "{}")])]
        let events = try await RuntimeHarness(turns: turns, tools: StubTools(tools: [waits])).use { harness in
            let run = try await harness.start("go", in: try await harness.newSession())
            await started.wait()
            _ = try await harness.runtime.cancel(run.id)
            return try await run.allEvents()
        }
        // Pi makes one more, already aborted request; Tau ends the transcript with the results.
        let golden = try expected("abort while tool runs (parallel 2 tools)")
        let end = try #require(golden.firstIndex(of: "turn_end(results=2)"))
        #expect(trace(events) == golden[...end] + ["agent_end(msgs=4)"])
    }

    @Test func `calls of an answer that was cut off are not run`() async throws {
        // Since Pi 0.80.4; the golden trace is of 0.58.3, which ran them.
        let never = StubTool("never") { (_) throws(ToolFailure) in
            Issue.record("a call of a cut-off answer was run")
            return ToolOutput(text: "ran")
        }
        let turns = [StubProvider.calls([("a", "never", "{}")], stop: .length), StubProvider.text("done")]
        let golden = try expected("length stop with tool call (0.58.3 executes it)").map { line in
            line.contains("tool_execution_end") || line.contains("toolResult")
                ? line.replacing("a)", with: "a:ERR)") : line
        }
        #expect(try await traced(turns, tools: StubTools(tools: [never])) == golden)
    }
}
