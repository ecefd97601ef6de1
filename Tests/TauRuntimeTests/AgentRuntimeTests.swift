import TauCore
import TauRuntime
import TauTestKit
import Testing

/// What a caller of the runtime may rely on.
@Suite struct AgentRuntimeTests {
    @Test func `the message is saved before the caller hears of the run`() async throws {
        let gate = Gate()
        let waits: StubProvider.Turn = { (request, sink) throws(ProviderError) in
            await gate.wait()
            return try await StubProvider.text("hi")(request, sink)
        }
        try await RuntimeHarness(turns: [waits]).use { harness in
            let session = try await harness.newSession()
            let run = try await harness.start("hello", in: session)
            let last = try #require(harness.store.entries(of: session).last)
            #expect(last.json["message"]?["content"]?.array?.first?["text"] == "hello")
            #expect(run.snapshot.leafID == last.id)
            gate.open()
            _ = try await run.allEvents()
        }
    }

    @Test func `a turn without tools is two appends, which carry the run's begin and its end`() async throws {
        try await RuntimeHarness(turns: [StubProvider.text("hi")]).use { harness in
            let session = try await harness.newSession()
            let before = harness.store.appendCount
            let events = try await harness.run("hello", in: session)
            #expect(harness.store.appendCount == before + 2)
            let entries = harness.store.entries(of: session)
            let carried = harness.store.carriedRuns
            #expect(carried.map(\.run.run.status) == [.running, .completed])
            #expect(carried.map(\.run.run.leafID) == carried.map(\.entry))
            #expect(carried.last?.entry == entries.last?.id)
            // What was stored is what is told.
            let told = try #require(events.last?["run"])
            #expect(Run(json: told)?.finishedAt == carried.last?.run.run.finishedAt)
            #expect(carried.last?.run.run.usage.totalTokens == 12)
        }
    }

    @Test func `the first and the last event tell the run's state, and entries are told of once durable`() async throws
    {
        try await RuntimeHarness(turns: [StubProvider.text("hi")]).use { harness in
            let session = try await harness.newSession()
            let events = try await harness.run("hello", in: session)
            #expect(events.first?["type"] == "run_state")
            #expect(events.first?["run"]?["status"] == "running")
            #expect(events.last?["type"] == "run_state")
            #expect(events.last?["run"]?["status"] == "completed")
            #expect(events.last?["run"]?["usage"]?["totalTokens"] == 12)
            let told = events.compactMap { $0["entry"] }
            #expect(told == harness.store.entries(of: session).map(\.json))
        }
    }

    @Test func `a session has one run at a time, and the next may start when the end was told`() async throws {
        let gate = Gate()
        let waits: StubProvider.Turn = { (request, sink) throws(ProviderError) in
            await gate.wait()
            return try await StubProvider.text("first")(request, sink)
        }
        try await RuntimeHarness(turns: [waits, StubProvider.text("second")]).use { harness in
            let session = try await harness.newSession()
            let run = try await harness.start("one", in: session)
            let view = try await harness.runtime.session(session)
            #expect(view.activeRun == run.id)
            let error = await #expect(throws: RuntimeError.self) { try await harness.start("two", in: session) }
            #expect(error?.code == .runInProgress)
            gate.open()
            _ = try await run.allEvents()
            _ = try await harness.run("two", in: session)
            #expect(try await harness.runtime.runs(of: session).map(\.status) == [.completed, .completed])
        }
    }

    @Test func `the model gets the branch, the prompt and the tools`() async throws {
        let tool = StubTool("look") { _ in ToolOutput(text: "seen") }
        let turns = [StubProvider.calls([("a", "look", "{}")]), StubProvider.text("done")]
        try await RuntimeHarness(turns: turns, tools: StubTools(tools: [tool])).use { harness in
            _ = try await harness.run("go", in: try await harness.newSession())
            let request = try #require(harness.provider.requests.last)
            #expect(request.systemPrompt == "You help.")
            #expect(request.tools.map(\.name) == ["look"])
            #expect(request.messages.map(\.role) == [.user, .assistant, .toolResult])
        }
    }

    @Test func `a tool that fills its workspace ends the run, with its result kept`() async throws {
        let tool = StubTool("fill") { _ throws(ToolFailure) in throw ToolFailure(.quotaExceeded, "too much") }
        let turns = [StubProvider.calls([("a", "fill", "{}")]), StubProvider.text("never asked for")]
        try await RuntimeHarness(turns: turns, tools: StubTools(tools: [tool])).use { harness in
            let session = try await harness.newSession()
            let run = try await harness.start("go", in: session)
            let events = trace(try await run.allEvents())
            #expect(run.snapshot.status == .failed)
            #expect(run.snapshot.failure?.code == "workspace_full")
            #expect(harness.provider.requests.count == 1)
            #expect(events.contains { $0.hasPrefix("message_end") && $0.contains("toolResult") })
        }
    }

    @Test func `a session's own prompt and tools replace the server's`() async throws {
        let tools = StubTools(tools: ["one", "two"].map { StubTool($0) { _ in ToolOutput(text: "") } })
        try await RuntimeHarness(turns: [StubProvider.text("hi")], tools: tools).use { harness in
            var draft = SessionDraft()
            draft.systemPrompt = "Be brief."
            draft.toolNames = ["two"]
            let session = try await harness.runtime.createSession(draft).summary.id
            _ = try await harness.run("go", in: session)
            #expect(harness.provider.requests.last?.systemPrompt == "Be brief.")
            #expect(harness.provider.requests.last?.tools.map(\.name) == ["two"])
        }
    }

    @Test func `a message can follow an earlier entry, and the branches stay apart`() async throws {
        try await RuntimeHarness(turns: [StubProvider.text("a"), StubProvider.text("b")]).use { harness in
            let session = try await harness.newSession()
            _ = try await harness.run("one", in: session)
            let first = try #require(harness.store.entries(of: session).first { $0.role == .user })
            let request = RunRequest(content: [.text("two")], parentID: first.id)
            _ = try await harness.runtime.startRun(request, in: session).allEvents()
            #expect(harness.provider.requests.last?.messages.map(\.role) == [.user, .user])
            let unknown = RunRequest(content: [.text("x")], parentID: EntryID(unchecked: "nowhere"))
            let error = await #expect(throws: RuntimeError.self) {
                try await harness.runtime.startRun(unknown, in: session)
            }
            #expect(error?.details.map(\.path) == ["parentId"])
        }
    }

    @Test func `calls that a crash left without a result get one that says so`() async throws {
        let header = SessionHeader(
            id: SessionID(unchecked: "crashed"), timestamp: Timestamp(milliseconds: 0), workingDirectory: "/")
        let call = ContentBlock.toolCall(ToolCall(id: "c1", name: "bash", arguments: JSONObject()))
        let answer = AssistantMessage(
            content: [call], api: "stub", model: StubCatalog.model.reference, stopReason: .toolUse,
            timestamp: Timestamp(milliseconds: 1))
        let entry = Entry(
            .message(.assistant(answer)), id: EntryID(unchecked: "e1"), parentID: nil,
            timestamp: Timestamp(milliseconds: 1))
        let content = SessionFile(header: header, entries: [entry]).bytes
        try await RuntimeHarness(turns: [StubProvider.text("ok")]).use { harness in
            let session = try await harness.runtime.importSession(content).summary.id
            _ = try await harness.run("go on", in: session)
            let messages = try #require(harness.provider.requests.last?.messages)
            #expect(messages.map(\.role) == [.assistant, .toolResult, .user])
            guard case .toolResult(let result) = messages[1] else { return }
            #expect(result.isError)
            #expect(result.toolCallID == "c1")
        }
    }

    @Test func `each call has its own result, in source order, though the last is done first`() async throws {
        let gates = (0..<4).map { _ in Gate() }
        let tool = StubTool("echo") { invocation in
            let number = invocation.arguments["n"]?.integer ?? 0
            // Each waits for the one behind it.
            if number < 3 { await gates[number + 1].wait() }
            gates[number].open()
            return ToolOutput(text: "result \(number)")
        }
        let calls = (0..<4).map { ("c\($0)", "echo", "{\"n\":\($0)}") }
        let turns = [StubProvider.calls(calls), StubProvider.text("done")]
        try await RuntimeHarness(turns: turns, tools: StubTools(tools: [tool])).use { harness in
            _ = try await harness.run("go", in: try await harness.newSession())
            let results = harness.provider.requests.last?.messages.compactMap { message -> String? in
                guard case .toolResult(let result) = message else { return nil }
                return "\(result.toolCallID): \(result.content.first?.text ?? "")"
            }
            #expect(results == (0..<4).map { "c\($0): result \($0)" })
        }
    }

    @Test func `a run that only calls tools ends at its limit of turns`() async throws {
        let tool = StubTool("again") { _ in ToolOutput(text: "") }
        let turns =
            (0..<4).map { StubProvider.calls([("c\($0)", "again", "{}")]) } + [StubProvider.text("done")]
        try await RuntimeHarness(turns: turns, tools: StubTools(tools: [tool])).use { harness in
            let session = try await harness.newSession()
            let request = RunRequest(content: [.text("go")], maxTurns: 3)
            let run = try await harness.runtime.startRun(request, in: session)
            _ = try await run.allEvents()
            #expect(run.snapshot.status == .failed)
            #expect(run.snapshot.failure?.code == "turn_limit")
            #expect(harness.provider.requests.count == 3)
            // Its last call has its result: the next run must not give it another one.
            _ = try await harness.run("go on", in: session)
            let results = harness.store.entries(of: session).filter { $0.role == .toolResult }
            #expect(results.count == 4)
            #expect(Set(results.map { $0.json["message"]?["toolCallId"]?.string }).count == 4)
        }
    }

    @Test func `a store that fails ends the run, and the session goes on when it works again`() async throws {
        let gate = Gate()
        let waits: StubProvider.Turn = { (request, sink) throws(ProviderError) in
            await gate.wait()
            return try await StubProvider.text("lost")(request, sink)
        }
        try await RuntimeHarness(turns: [waits, StubProvider.text("kept")]).use { harness in
            let session = try await harness.newSession()
            let run = try await harness.start("one", in: session)
            harness.store.failAppends(with: StoreError(.unavailable, "disk full"))
            gate.open()
            let events = try await run.allEvents()
            #expect(run.snapshot.status == .failed)
            #expect(run.snapshot.failure?.code == "storage_unavailable")
            // The lost answer was never told of as an entry.
            #expect(events.compactMap { $0["entry"]?["message"]?["role"]?.string } == ["user"])
            let refused = await #expect(throws: RuntimeError.self) { try await harness.start("two", in: session) }
            #expect(refused?.code == .storageUnavailable)
            harness.store.failAppends(with: nil)
            let after = try await harness.run("three", in: session)
            #expect(after.last?["run"]?["status"] == "completed")
        }
    }

    @Test func `appends that come together go to the store together and none is lost`() async throws {
        try await RuntimeHarness().use { harness in
            let session = try await harness.newSession()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        var update = SessionUpdate()
                        update.name = "name \(number)"
                        _ = try await harness.runtime.updateSession(session, update)
                    }
                }
                try await group.waitForAll()
            }
            let entries = harness.store.entries(of: session)
            #expect(entries.count == 200)
            #expect(Set(entries.map(\.id)).count == 200)
            #expect(zip(entries, entries.dropFirst()).allSatisfy { $1.parentID == $0.id })
            #expect(harness.store.appendCount < 200)
        }
    }

    @Test func `a draining server refuses new work`() async throws {
        try await RuntimeHarness(turns: [StubProvider.text("hi")]).use { harness in
            let session = try await harness.newSession()
            harness.runtime.drain()
            let error = await #expect(throws: RuntimeError.self) { try await harness.start("go", in: session) }
            #expect(error?.code == .draining)
            #expect(harness.store.entries(of: session).isEmpty)
        }
    }

    @Test func `deleting a session stops its run first`() async throws {
        let started = Gate()
        let waits: StubProvider.Turn = { (_, _) throws(ProviderError) in
            started.open()
            await untilCancelled()
            throw ProviderError(.cancelled, "cancelled")
        }
        try await RuntimeHarness(turns: [waits]).use { harness in
            let session = try await harness.newSession()
            let run = try await harness.start("go", in: session)
            await started.wait()
            try await harness.runtime.deleteSession(session)
            #expect(run.snapshot.status == .cancelled)
            let error = await #expect(throws: RuntimeError.self) { try await harness.runtime.session(session) }
            #expect(error?.code == .notFound)
        }
    }

    @Test func `idle sessions are closed when there are too many, and open again by themselves`() async throws {
        var limits = RuntimeLimits()
        limits.maxOpenSessions = 3
        try await RuntimeHarness(limits: limits).use { harness in
            var sessions: [SessionID] = []
            for _ in 0..<10 { sessions.append(try await harness.newSession()) }
            for session in sessions { #expect(try await harness.runtime.session(session).summary.id == session) }
        }
    }

    @Test func `a broken line refuses an import and is named`() async throws {
        try await RuntimeHarness().use { harness in
            let content = #"{"type":"session","version":3,"id":"abc","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/"}"#
            let error = await #expect(throws: RuntimeError.self) {
                try await harness.runtime.importSession(Array((content + "\n{broken\n").utf8))
            }
            #expect(error?.code == .invalidContent)
            #expect(error?.details.map(\.path) == ["line 2"])
            let page = try await harness.runtime.listSessions(SessionQuery())
            #expect(page.sessions.isEmpty)
        }
    }

    @Test func `sessions that are idle are closed when their bytes are too many, the idlest first`() async throws {
        var limits = RuntimeLimits()
        limits.maxOpenBytes = 3000
        let harness = RuntimeHarness(limits: limits)
        let names = ["one", "two", "three"]
        for name in names {
            let file = SessionStoreContract.file(name, [String(repeating: "x", count: 500)])
            _ = try await harness.runtime.importSession(file.bytes)
        }
        // About 1,200 bytes each: two fit.
        let open = names.filter { harness.store.isOpen(SessionID(unchecked: $0)) }
        #expect(open == ["two", "three"])
        _ = try await harness.runtime.session(SessionID(unchecked: "one"))
        #expect(names.filter { harness.store.isOpen(SessionID(unchecked: $0)) } == ["one", "three"])
    }

    @Test func `a session with a line over the configured bound is not imported, and the line is named`() async throws {
        var limits = RuntimeLimits()
        limits.maxLineBytes = 300
        let harness = RuntimeHarness(limits: limits)
        let file = SessionStoreContract.file("long", ["short", String(repeating: "x", count: 300)])
        let failure = await #expect(throws: RuntimeError.self) { try await harness.runtime.importSession(file.bytes) }
        #expect(failure?.code == .invalidContent)
        #expect(failure?.details.map(\.path) == ["line 3"])
    }
}
