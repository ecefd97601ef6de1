import Synchronization
import TauCore
import TauRuntime
import TauTestKit
import Testing

/// A ledger of one budget in memory.
final class StubLedger: Ledger {
    private struct State {
        var book = LedgerBook(accounts: [:], holds: [:])
        var requests: [HoldRequest] = []
        var failure: StoreError?
    }

    let rule = BudgetRule(scope: .user, window: .month, tokens: 100_000)
    private let state = Mutex(State())

    /// A hold that fails all the same is taken, as after a lost answer.
    func failHolds(with error: StoreError?) { state.withLock { $0.failure = error } }

    var requests: [HoldRequest] { state.withLock { $0.requests } }
    var charges: [Charge] { state.withLock { $0.book.charges } }
    var held: Int { state.withLock { $0.book.accounts.values.reduce(0) { $0 + $1.heldTokens } } }
    var used: Int { state.withLock { $0.book.accounts.values.reduce(0) { $0 + $1.usedTokens } } }

    func hold(_ request: HoldRequest) async throws(StoreError) -> HoldOutcome {
        try state.withLock { state throws(StoreError) in
            state.requests.append(request)
            let outcome = state.book.hold(request)
            if let failure = state.failure { throw failure }
            return outcome
        }
    }

    /// Returns when a hold was asked for; after a while in any case, so that who waits in vain fails.
    func waitUntilAsked() async {
        let deadline = ContinuousClock.now + .seconds(10)
        while requests.isEmpty, ContinuousClock.now < deadline { await Task.yield() }
        #expect(!requests.isEmpty)
    }

    func settle(_ charge: Charge) { state.withLock { $0.book.settle(charge) } }
    func add(_ charge: Charge) { state.withLock { $0.book.add(charge) } }
    func flush() async throws(StoreError) {}
    func states(of accounts: [String]) async throws(StoreError) -> [String: BudgetState] {
        state.withLock { $0.book.accounts }
    }
    func recentStates(of accounts: [String]) async throws(StoreError) -> [String: BudgetState] {
        try await states(of: accounts)
    }
    func usage(_ query: UsageQuery) async throws(StoreError) -> [UsageGroup] { [] }
}

/// The hold of a run's first model call, which is taken while the run's message is written.
@Suite(.timeLimit(.minutes(1))) struct EarlyHoldTests {
    @Test func `the first call waits for one commit, and every call has one hold`() async throws {
        let ledger = StubLedger()
        let tool = StubTool("look") { _ throws(ToolFailure) in ToolOutput(content: [.text("there")]) }
        let harness = RuntimeHarness(
            turns: [StubProvider.calls([("1", "look", "{}")]), StubProvider.text("Fine.")],
            tools: StubTools(tools: [tool]), ledger: ledger)
        try await harness.use { harness in
            let session = try await harness.newSession()
            // The message is not written before the hold is asked for.
            harness.store.waitBeforeAppends { await ledger.waitUntilAsked() }
            let events = try await harness.run("go", in: session)
            #expect(events.last?["run"]?["status"] == "completed")
            #expect(ledger.requests.count == 2 && ledger.charges.count == 2)
            #expect(ledger.held == 0 && ledger.used > 0)
            // By its time an answer is found whose server has died.
            let prompt = harness.store.entries(of: session).first { $0.role == .user }
            #expect(Int(ledger.requests[0].charge.time.milliseconds) == prompt?.json["message"]?["timestamp"]?.integer)
        }
    }

    @Test func `a message that is not written leaves nothing held`() async throws {
        let ledger = StubLedger()
        let harness = RuntimeHarness(turns: [StubProvider.text("Fine.")], ledger: ledger)
        try await harness.use { harness in
            let session = try await harness.newSession()
            harness.store.failAppends(with: StoreError(.unavailable, "the disk is full"))
            await #expect(throws: RuntimeError.self) { try await harness.start("go", in: session) }
            #expect(ledger.requests.count == 1 && ledger.held == 0 && ledger.used == 0)
        }
    }

    @Test func `a run that ends before its first call leaves nothing held`() async throws {
        let ledger = StubLedger()
        let harness = RuntimeHarness(turns: [StubProvider.text("Fine.")], ledger: ledger)
        try await harness.use { harness in
            let session = try await harness.newSession()
            let request = RunRequest(
                content: [.text("go")], model: .named(StubCatalog.pricedModel.reference), maxCost: 0.000_000_001)
            let events = try await harness.runtime.startRun(request, in: session).allEvents()
            #expect(events.last?["run"]?["error"]?["code"] == "cost_limit")
            #expect(harness.provider.requests.isEmpty)
            #expect(ledger.requests.count == 1 && ledger.held == 0 && ledger.used == 0)
        }
    }

    @Test func `a hold of which nobody can tell whether it was taken is given back, and taken anew`() async throws {
        let ledger = StubLedger()
        let harness = RuntimeHarness(turns: [StubProvider.text("Fine.")], ledger: ledger)
        try await harness.use { harness in
            let session = try await harness.newSession()
            ledger.failHolds(with: StoreError(.unavailable, "the answer was lost"))
            // The message is written when the first hold has failed, and the call is made when holds work again.
            harness.store.waitBeforeAppends {
                await ledger.waitUntilAsked()
                ledger.failHolds(with: nil)
            }
            let events = try await harness.run("go", in: session)
            #expect(events.last?["run"]?["status"] == "completed")
            #expect(ledger.requests.count == 2 && ledger.held == 0)
        }
    }

    @Test func `a run that must wait for its turn holds nothing meanwhile`() async throws {
        let ledger = StubLedger()
        let (entered, mayEnd) = (Gate(), Gate())
        let slow: StubProvider.Turn = { (request, sink) throws(ProviderError) in
            entered.open()
            await mayEnd.wait()
            return try await StubProvider.text("Slow.")(request, sink)
        }
        let harness = RuntimeHarness(turns: [slow, StubProvider.text("Fine.")], maxConcurrentCalls: 1, ledger: ledger)
        try await harness.use { harness in
            let first = try await harness.start("go", in: try await harness.newSession())
            await entered.wait()
            let second = try await harness.start("go", in: try await harness.newSession())
            #expect(ledger.requests.count == 1)
            mayEnd.open()
            for run in [first, second] {
                #expect(try await run.allEvents().last?["run"]?["status"] == "completed")
            }
            #expect(ledger.requests.count == 2 && ledger.held == 0)
        }
    }

    @Test func `a hold that is too small for the call is given back, and the call takes its own`() async throws {
        let ledger = StubLedger()
        let harness = RuntimeHarness(turns: [StubProvider.text("Fine.")], ledger: ledger)
        // The call of the tool has no result: its server died. One is written with the message, which makes the prompt longer.
        let lines = [
            #"{"type":"session","version":3,"id":"s","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/"}"#,
            #"{"type":"message","id":"00000001","parentId":null,"timestamp":"2026-01-01T00:00:01.000Z","#
                + #""message":{"role":"user","content":"go","timestamp":1}}"#,
            #"{"type":"message","id":"00000002","parentId":"00000001","timestamp":"2026-01-01T00:00:02.000Z","#
                + #""message":{"role":"assistant","content":[{"type":"toolCall","id":"c","name":"look","arguments":{}}],"#
                + #""api":"stub","provider":"stub","model":"one","stopReason":"toolUse","timestamp":2}}"#,
        ]
        try await harness.use { harness in
            let text = lines.joined(separator: "\n") + "\n"
            let session = try await harness.runtime.importSession(Array(text.utf8)).summary.id
            let events = try await harness.run("on", in: session)
            #expect(events.last?["run"]?["status"] == "completed")
            #expect(ledger.requests.count == 2 && ledger.requests[0].promptTokens < ledger.requests[1].promptTokens)
            #expect(ledger.held == 0 && ledger.charges.count == 2)
        }
    }
}
