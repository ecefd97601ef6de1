import TauCore
import TauTestKit
import Testing

@testable import TauRuntime

/// What a run does about model calls that fail.
@Suite(.timeLimit(.minutes(1))) struct RecoveryTests {
    static func fails(_ code: ProviderError.Code, _ message: String = "no", after: Double? = nil) -> StubProvider.Turn {
        { (_, _) throws(ProviderError) in throw ProviderError(code, message, retryAfter: after) }
    }

    static func breaksOff(_ text: String) -> StubProvider.Turn {
        { (request, sink) throws(ProviderError) in
            _ = try await StubProvider.text(text)(request, sink)
            throw ProviderError(.network, "cut")
        }
    }

    /// A tool call of 100 tokens in and 50 out.
    static let pricedCall: StubProvider.Turn = { (_, sink) throws(ProviderError) in
        sink(.toolCallStart(index: 0, id: "a", name: "nope"))
        sink(.toolCallEnd(index: 0))
        var usage = Usage(input: 100, output: 50)
        usage.cost = StubCatalog.pricedModel.prices?.cost(of: usage)
        sink(.usage(usage))
        return ModelReply(stopReason: .toolUse)
    }

    func run(_ harness: RuntimeHarness, model: ModelChoice = .automatic, maxCost: Double? = nil) async throws -> (
        events: [JSONValue], session: SessionID
    ) {
        try await harness.use { harness in
            let session = try await harness.newSession()
            let request = RunRequest(content: [.text("go")], model: model, maxCost: maxCost)
            return (try await harness.runtime.startRun(request, in: session).allEvents(), session)
        }
    }

    func retries(_ events: [JSONValue]) -> [JSONValue] { events.filter { $0["type"] == "retry" } }

    @Test func `an overloaded model is asked again, longer and longer later, and answers`() async throws {
        let harness = RuntimeHarness(turns: [
            Self.fails(.overloaded, "busy"), Self.breaksOff("half"), Self.fails(.rateLimited, after: 7),
            StubProvider.text("at last"),
        ])
        let (events, session) = try await run(harness)
        #expect(events.last?["run"]?["status"] == "completed")
        #expect(events.last?["run"]?["error"] == .null)
        #expect(retries(events).map { $0["attempt"]?.integer } == [1, 2, 3])
        #expect(retries(events).map { $0["delayMs"]?.integer } == [2000, 4000, 8000])
        #expect(retries(events).first?["reason"] == "busy")
        #expect(harness.clock.waits == [.seconds(2), .seconds(4), .seconds(8)])
        // The failed answers are in the session, with what was received, and in no context.
        let saved = harness.store.entries(of: session).compactMap { $0.json["message"] }
        #expect(saved.count { $0["stopReason"] == "error" } == 3)
        #expect(saved.contains { $0["content"]?.array?.first?["text"] == "half" && $0["stopReason"] == "error" })
        #expect(harness.provider.requests.last?.messages.count == 1)
        let context = try await harness.runtime.context(of: session, leaf: nil).context
        #expect(context.messages.map(\.role) == [.user, .assistant])
    }

    @Test func `after the last attempt the run has failed`() async throws {
        let harness = RuntimeHarness(turns: Array(repeating: Self.fails(.overloaded, "busy"), count: 9))
        let (events, _) = try await run(harness)
        #expect(events.last?["run"]?["status"] == "failed")
        #expect(events.last?["run"]?["error"]?["code"] == "model_unavailable")
        #expect(events.last?["run"]?["error"]?["message"] == "busy")
        #expect(harness.provider.requests.count == 4)
        #expect(retries(events).count == 3)
    }

    @Test(arguments: [ProviderError.Code.quotaExceeded, .badRequest, .unauthorized, .refused])
    func `what will not get better ends the run at once`(_ code: ProviderError.Code) async throws {
        let harness = RuntimeHarness(turns: [Self.fails(code), StubProvider.text("never")])
        let (events, _) = try await run(harness)
        #expect(events.last?["run"]?["status"] == "failed")
        #expect(harness.provider.requests.count == 1)
        #expect(retries(events).isEmpty)
    }

    @Test func `a server that asks for more patience than there is has failed`() async throws {
        let harness = RuntimeHarness(turns: [Self.fails(.rateLimited, after: 61), StubProvider.text("never")])
        let (events, _) = try await run(harness)
        #expect(events.last?["run"]?["status"] == "failed")
        #expect(retries(events).isEmpty)
    }

    @Test func `an answer in between gives all attempts back`() async throws {
        let call = StubProvider.calls([("a", "nope", "{}")])
        let harness = RuntimeHarness(turns: [
            Self.fails(.network), Self.fails(.network), call, Self.fails(.network), Self.fails(.network),
            StubProvider.text("done"),
        ])
        let (events, _) = try await run(harness)
        #expect(events.last?["run"]?["status"] == "completed")
        #expect(retries(events).map { $0["attempt"]?.integer } == [1, 2, 1, 2])
    }

    @Test func `a cancel ends the wait for the next attempt`() async throws {
        let harness = RuntimeHarness(turns: [Self.fails(.overloaded), StubProvider.text("never")], waits: true)
        let run = try await harness.use { harness in
            let run = try await harness.start("go", in: try await harness.newSession())
            var number = 0
            var isWaiting = false
            while !isWaiting, let records = try await run.journal.events(after: number) {
                isWaiting = records.contains { $0.type == "retry" }
                number = records.last?.number ?? number
            }
            _ = try await harness.runtime.cancel(run.id)
            _ = try await run.allEvents()
            return run.snapshot
        }
        #expect(run.status == .cancelled)
        #expect(harness.provider.requests.count == 1)
    }

    // MARK: Fallback

    @Test func `another model takes over in the middle of a run, and stays for the rest of it`() async throws {
        let other = StubProvider(
            [StubProvider.calls([("a", "nope", "{}")]), StubProvider.text("done")], name: "other")
        let harness = RuntimeHarness(
            turns: [StubProvider.calls([("b", "nope", "{}")]), Self.breaksOff("half")], fallback: other)
        let (events, session) = try await run(harness)
        #expect(events.last?["run"]?["status"] == "completed")
        #expect(events.last?["run"]?["model"] == ["provider": "other", "id": "two"])
        let fallback = events.first { $0["type"] == "model_fallback" }
        #expect(fallback?["from"] == ["provider": "stub", "id": "one"])
        #expect(fallback?["to"] == ["provider": "other", "id": "two"])
        #expect(fallback?["reason"] == "cut")
        #expect(harness.clock.waits.isEmpty)
        #expect(other.requests.count == 2)
        // It sees what the first one did, and not what it failed to say.
        #expect(other.requests[0].messages.count == 3)
        let models = harness.store.entries(of: session).compactMap { $0.json["message"]?["model"]?.string }
        #expect(models == ["one", "one", "two", "two"])
    }

    @Test func `the last model of the chain is asked again`() async throws {
        let other = StubProvider([Self.fails(.overloaded), StubProvider.text("done")], name: "other")
        let harness = RuntimeHarness(turns: [Self.fails(.timedOut)], fallback: other)
        let (events, _) = try await run(harness)
        #expect(events.last?["run"]?["status"] == "completed")
        #expect(retries(events).map { $0["attempt"]?.integer } == [1])
    }

    @Test func `a model that was named is not replaced`() async throws {
        let other = StubProvider([StubProvider.text("never")], name: "other")
        var limits = RuntimeLimits()
        limits.retry.attempts = 0
        let harness = RuntimeHarness(turns: [Self.fails(.overloaded)], fallback: other, limits: limits)
        let (events, _) = try await run(harness, model: .named(StubCatalog.model.reference))
        #expect(events.last?["run"]?["status"] == "failed")
        #expect(other.requests.isEmpty)
    }

    // MARK: Money

    @Test func `a run's money bounds its answers and ends it before it is overspent`() async throws {
        let harness = RuntimeHarness(turns: [Self.pricedCall, StubProvider.text("never")])
        // 100 tokens in and 50 out cost $0.0002; as much again is not there.
        let (events, _) = try await run(harness, model: .named(StubCatalog.pricedModel.reference), maxCost: 0.00025)
        #expect(events.last?["run"]?["status"] == "failed")
        #expect(events.last?["run"]?["error"]?["code"] == "cost_limit")
        #expect(harness.provider.requests.count == 1)
        let bound = try #require(harness.provider.requests[0].maxOutputTokens)
        #expect((1..<125).contains(bound))
    }

    @Test func `no money can be held with a model whose price is unknown`() async throws {
        let harness = RuntimeHarness(turns: [StubProvider.text("never")])
        await #expect {
            _ = try await run(harness, model: .named(StubCatalog.unpricedModel.reference), maxCost: 1)
        } throws: { error in
            (error as? RuntimeError)?.code == .badRequest && "\(error)".contains("stub/unpriced")
        }
        #expect(harness.provider.requests.isEmpty)
    }

    @Test func `an answer whose tokens nobody counted has no known cost`() async throws {
        let harness = RuntimeHarness(turns: [StubProvider.calls([("a", "nope", "{}")]), StubProvider.text("done")])
        let (events, _) = try await run(harness)
        #expect(events.last?["run"]?["usage"]?["cost"] == .null)
    }

    // MARK: Choice

    @Test func `what Tau has chosen is chosen anew with the next message, what a user has named stays`() async throws {
        let harness = RuntimeHarness(turns: Array(repeating: StubProvider.text("ok"), count: 4))
        try await harness.use { harness in
            let session = try await harness.newSession()
            func lastChange() -> JSONValue? {
                harness.store.entries(of: session).last { $0.body.typeName == "model_change" }?.json
            }
            let events = try await harness.run("first", in: session)
            #expect(events.last?["run"]?["choice"]?["tier"] == "simple")
            #expect(lastChange()?["choice"]?["reason"] == "stubs are simple")
            let second = try await harness.run("second", in: session)
            #expect(second.last?["run"]?["choice"]?["tier"] == "simple")
            let named = RunRequest(content: [.text("third")], model: .named(StubCatalog.model.reference))
            let third = try await harness.runtime.startRun(named, in: session).allEvents()
            #expect(third.last?["run"]?["choice"] == .null)
            #expect(lastChange()?["choice"] == nil)
            let fourth = try await harness.run("fourth", in: session)
            #expect(fourth.last?["run"]?["choice"] == .null)
        }
    }

    // MARK: Circuit and queue

    @Test func `a provider that fails again and again is left alone, and tried once later`() {
        var settings = CircuitSettings()
        settings.failures = 2
        settings.openSeconds = 10
        var breaker = CircuitBreaker(settings: settings)
        func at(_ seconds: Int64) -> Timestamp { Timestamp(milliseconds: seconds * 1000) }
        func call(_ result: CircuitBreaker.Result, _ seconds: Int64) -> CircuitBreaker.Admission {
            let admission = breaker.admit(at: at(seconds))
            if admission == .admitted { breaker.report(result, at: at(seconds)) }
            return admission
        }
        #expect(call(.failed, 0) == .admitted)
        #expect(call(.answered, 1) == .admitted)
        #expect(call(.failed, 2) == .admitted)
        #expect(call(.failed, 3) == .admitted)
        #expect(!breaker.isPassable(at: at(4)))
        #expect(call(.answered, 4) == .refused(seconds: 9))
        // One tries; the others wait for what becomes of it.
        #expect(breaker.admit(at: at(13)) == .admitted)
        #expect(breaker.admit(at: at(13)) == .refused(seconds: 1))
        breaker.report(.failed, at: at(14))
        #expect(call(.answered, 20) == .refused(seconds: 4))
        // Who gives up says nothing about the provider: the next one tries.
        #expect(call(.unknown, 24) == .admitted)
        #expect(call(.answered, 24) == .admitted)
        #expect(call(.failed, 25) == .admitted)
        #expect(breaker.isPassable(at: at(25)))
    }

    @Test func `an open circuit spares the provider the calls of other runs`() async throws {
        var limits = RuntimeLimits()
        limits.retry.attempts = 0
        limits.circuit.failures = 2
        let harness = RuntimeHarness(turns: Array(repeating: Self.fails(.network), count: 5), limits: limits)
        try await harness.use { harness in
            for _ in 0..<4 {
                let events = try await harness.run("go", in: try await harness.newSession())
                #expect(events.last?["run"]?["status"] == "failed")
            }
        }
        #expect(harness.provider.requests.count == 2)
    }

    @Test func `a provider gets no more calls at a time than it takes`() async throws {
        let (entered, gate) = (Counter(), Gate())
        let turn: StubProvider.Turn = { (request, sink) throws(ProviderError) in
            entered.add(1)
            await gate.wait()
            entered.add(-1)
            return try await StubProvider.text("ok")(request, sink)
        }
        let harness = RuntimeHarness(turns: Array(repeating: turn, count: 6), maxConcurrentCalls: 2)
        try await harness.use { harness in
            var runs: [ActiveRun] = []
            for _ in 0..<6 { runs.append(try await harness.start("go", in: try await harness.newSession())) }
            while entered.current < 2 { await Task.yield() }
            gate.open()
            for run in runs {
                _ = try await run.allEvents()
                #expect(run.snapshot.status == .completed)
            }
        }
        #expect(entered.highest == 2)
    }
}
