import TauCore
import TauRuntime
import TauTestKit
import Testing

/// Compactions, branches and forks of the runtime. The stub model has a window of 1,000 tokens: 250 are kept free, 250 kept.
@Suite struct CompactionTests {
    private static let long = String(repeating: "word ", count: 120)

    /// An answer after which the model says that so many tokens were in its context.
    private static func answer(_ text: String, tokens: Int) -> StubProvider.Turn {
        { (_, sink) throws(ProviderError) in
            sink(.textStart(index: 0))
            sink(.textDelta(index: 0, text))
            sink(.textEnd(index: 0))
            sink(.usage(Usage(input: tokens - 1, output: 1)))
            return ModelReply(stopReason: .stop)
        }
    }

    private static let refusal: StubProvider.Turn = { (_, _) throws(ProviderError) in
        throw ProviderError(.refused, "no")
    }
    private static let overflow: StubProvider.Turn = { (_, _) throws(ProviderError) in
        throw ProviderError(.contextTooLong, "prompt is too long")
    }

    private static let overload: StubProvider.Turn = { (_, _) throws(ProviderError) in
        throw ProviderError(.overloaded, "busy")
    }

    /// Opens one gate, waits for the other, and answers.
    private static func waiting(_ started: Gate, _ gate: Gate, _ text: String) -> StubProvider.Turn {
        { (_, sink) throws(ProviderError) in
            started.open()
            await gate.wait()
            sink(.textStart(index: 0))
            sink(.textDelta(index: 0, text))
            sink(.textEnd(index: 0))
            return ModelReply(stopReason: .stop)
        }
    }

    private func types(_ events: [JSONValue]) -> [String] {
        events.compactMap { event in
            switch event["type"]?.string {
            case "compaction_start": "compaction_start \(event["reason"]?.string ?? "")"
            case "compaction_end": "compaction_end\(event["error"] == nil ? "" : " failed")"
            case "entry_appended": "entry \(event["entry"]?["type"]?.string ?? "")"
            case "message_end": "message_end \(event["message"]?["role"]?.string ?? "")"
            case "turn_start", "turn_end", "agent_end": event["type"]?.string
            default: nil
            }
        }
    }

    @Test func `a context that is nearly full is compacted before the next model call`() async throws {
        let harness = RuntimeHarness(turns: [
            Self.answer(Self.long, tokens: 400), Self.answer(Self.long, tokens: 900),
            StubProvider.text("THE SUMMARY"), Self.answer("third", tokens: 300), Self.answer("fourth", tokens: 310),
        ])
        try await harness.use { harness in
            let id = try await harness.newSession()
            for text in ["first", "second"] {
                let events = try await harness.run("\(text) \(Self.long)", in: id)
                #expect(!types(events).contains { $0.hasPrefix("compaction") })
            }
            let events = try await harness.run("third", in: id)
            #expect(
                types(events) == [
                    "turn_start", "message_end user", "entry message", "compaction_start threshold", "entry compaction",
                    "compaction_end", "message_end assistant", "entry message", "turn_end", "agent_end",
                ])
            // The summary is accounted to the run.
            #expect(events.last?["run"]?["usage"]?["input"] == .integer(10 + 299))
            let request = harness.provider.requests[3]
            #expect(Self.text(request.messages.first).contains("THE SUMMARY"))
            #expect(!request.messages.contains { Self.text($0).hasPrefix("first") })
            #expect(Self.text(request.messages.last) == "third")
            let summaryRequest = harness.provider.requests[2]
            #expect(summaryRequest.tools.isEmpty)
            #expect(summaryRequest.systemPrompt == SummaryPrompt.system)
            #expect(summaryRequest.sessionID != id)
            #expect(Self.text(summaryRequest.messages.first).contains("[User]: first"))
            // What was counted before is stale: the next turn is not compacted again.
            #expect(!types(try await harness.run("fourth", in: id)).contains { $0.hasPrefix("compaction") })
            #expect(try await harness.runtime.session(id).summary.usage.input == 399 + 899 + 10 + 299 + 309)
        }
    }

    @Test func `a context that the model refuses as too long is compacted once, and the turn is tried again`()
        async throws
    {
        let harness = RuntimeHarness(turns: [
            Self.answer(Self.long, tokens: 300), Self.overflow, StubProvider.text("SHORTER"),
            StubProvider.text("answered"),
        ])
        try await harness.use { harness in
            let id = try await harness.newSession()
            _ = try await harness.run("first \(Self.long)", in: id)
            let events = try await harness.run("second", in: id)
            #expect(
                types(events) == [
                    "turn_start", "message_end user", "entry message", "message_end assistant", "entry message",
                    "turn_end", "compaction_start overflow", "entry compaction", "entry context_edit", "compaction_end",
                    "turn_start",
                    "message_end assistant", "entry message", "turn_end", "agent_end",
                ])
            #expect(events.last?["run"]?["status"] == "completed")
            #expect(events.last?["run"]?["error"] == .null)
            // The failed answer is in the session, and not in the context.
            #expect(harness.store.entries(of: id).contains { $0.json["message"]?["stopReason"] == "error" })
            #expect(
                !harness.provider.requests[3].messages.contains { message in
                    if case .assistant(let answer) = message { answer.stopReason == .error } else { false }
                })
        }
    }

    @Test func `a second overflow in a row ends the run`() async throws {
        let harness = RuntimeHarness(turns: [
            Self.answer(Self.long, tokens: 300), Self.overflow, StubProvider.text("SHORTER"), Self.overflow,
        ])
        try await harness.use { harness in
            let id = try await harness.newSession()
            _ = try await harness.run("first \(Self.long)", in: id)
            let events = try await harness.run("second", in: id)
            #expect(events.last?["run"]?["status"] == "failed")
            #expect(events.last?["run"]?["error"]?["code"] == "context_too_long")
            #expect(types(events).count { $0.hasPrefix("compaction_start") } == 1)
        }
    }

    @Test(arguments: ["error", "empty"])
    func `a summary that fails is told, leaves nothing behind, and the run goes on`(_ kind: String) async throws {
        var limits = RuntimeLimits()
        limits.retry.attempts = 0
        let harness = RuntimeHarness(
            turns: [
                Self.answer(Self.long, tokens: 400), Self.answer(Self.long, tokens: 900),
                kind == "empty" ? StubProvider.text(" \n") : Self.overload,
                Self.answer("third", tokens: 950),
            ], limits: limits)
        try await harness.use { harness in
            let id = try await harness.newSession()
            for text in ["first", "second"] { _ = try await harness.run("\(text) \(Self.long)", in: id) }
            let events = try await harness.run("third", in: id)
            #expect(types(events).contains("compaction_end failed"))
            #expect(events.last?["run"]?["status"] == "completed")
            #expect(!harness.store.entries(of: id).contains { $0.body.typeName == "compaction" })
        }
    }

    @Test func `where it is turned off nothing is compacted`() async throws {
        var limits = RuntimeLimits()
        limits.compaction.isEnabled = false
        let harness = RuntimeHarness(
            turns: [Self.answer(Self.long, tokens: 990), Self.answer("second", tokens: 995), Self.overflow],
            limits: limits)
        try await harness.use { harness in
            let id = try await harness.newSession()
            for text in ["first \(Self.long)", "second", "third"] {
                #expect(!types(try await harness.run(text, in: id)).contains { $0.hasPrefix("compaction") })
            }
        }
    }

    // MARK: On request

    @Test func `a session is compacted on request, with the user's instructions`() async throws {
        let harness = RuntimeHarness(turns: [
            Self.answer(Self.long, tokens: 400), Self.answer(Self.long, tokens: 500), StubProvider.text("SUMMARY"),
        ])
        try await harness.use { harness in
            let id = try await harness.newSession()
            for text in ["first", "second"] { _ = try await harness.run("\(text) \(Self.long)", in: id) }
            let entry = try await harness.runtime.compact(id, instructions: "Keep the names.")
            #expect(entry.json["summary"] == "SUMMARY")
            #expect(entry.json["tokensBefore"] == 500)
            #expect(entry.usage?.totalTokens == 12)
            #expect(Self.text(harness.provider.requests[2].messages.first).contains("Keep the names."))
            #expect(harness.store.entries(of: id).last?.id == entry.id)
            let context = try await harness.runtime.context(of: id, leaf: nil).context
            #expect(context.messages.first?.role == .compactionSummary)
            let again = await #expect(throws: RuntimeError.self) {
                try await harness.runtime.compact(id, instructions: nil)
            }
            #expect(again?.code == .conflict)
        }
    }

    @Test func `a history that is longer than the model's window is summarised piece by piece`() async throws {
        let harness = RuntimeHarness(
            turns: [
                StubProvider.text("PART ONE")
            ] + (2...12).map { StubProvider.text("PART \($0)") })
        let file = SessionStoreContract.file("long", (0..<8).map { "\($0) " + String(repeating: "x", count: 1000) })
        try await harness.use { harness in
            let id = try await harness.runtime.importSession(file.bytes).summary.id
            let entry = try await harness.runtime.compact(id, instructions: nil)
            let requests = harness.provider.requests.map { Self.text($0.messages.first) }
            #expect(requests.count > 1)
            #expect(requests[1].contains("PART ONE"))
            #expect(entry.usage?.totalTokens == 12 * requests.count)
            // Every message is in one of them, or kept.
            let kept = try await harness.runtime.context(of: id, leaf: nil).context.messages
                .map { String(decoding: $0.json, as: UTF8.self) }
            for number in 0..<8 { #expect((requests + kept).contains { $0.contains("\(number) xxx") }) }
        }
    }

    @Test func `a piece that the model refuses is made smaller`() async throws {
        let harness = RuntimeHarness(
            turns: [Self.overflow, Self.overflow] + (1...40).map { StubProvider.text("PART \($0)") })
        let file = SessionStoreContract.file("long", (0..<40).map { "\($0) " + String(repeating: "x", count: 200) })
        try await harness.use { harness in
            let id = try await harness.runtime.importSession(file.bytes).summary.id
            _ = try await harness.runtime.compact(id, instructions: nil)
            let sizes = harness.provider.requests.map { Self.text($0.messages.first).utf8.count }
            #expect(sizes[0] > sizes[1] + 400)
            #expect(sizes[1] > sizes[2] + 200)
        }
    }

    @Test func `a model that fails is told, and nothing is stored`() async throws {
        let harness = RuntimeHarness(turns: [
            Self.answer(Self.long, tokens: 400), Self.answer(Self.long, tokens: 500), Self.refusal,
        ])
        try await harness.use { harness in
            let id = try await harness.newSession()
            for text in ["first", "second"] { _ = try await harness.run("\(text) \(Self.long)", in: id) }
            let count = harness.store.entries(of: id).count
            let failure = await #expect(throws: RuntimeError.self) {
                try await harness.runtime.compact(id, instructions: nil)
            }
            #expect(failure?.code == .modelUnavailable)
            #expect(harness.store.entries(of: id).count == count)
            // The session is free again.
            _ = try await harness.runtime.branch(id, to: nil, summarize: false, instructions: nil)
        }
    }

    @Test func `while a run is at work the leaf stays, and while a summary is made no run begins`() async throws {
        let (running, summarizing) = (Gate(), Gate())
        let (hasStarted, isAsked) = (Gate(), Gate())
        let harness = RuntimeHarness(turns: [
            Self.waiting(hasStarted, running, "one \(Self.long)"), Self.waiting(isAsked, summarizing, "left"),
        ])
        try await harness.use { harness in
            let id = try await harness.newSession()
            let run = try await harness.start("first", in: id)
            await hasStarted.wait()
            let runtime = harness.runtime
            let branch = await #expect(throws: RuntimeError.self) {
                try await runtime.branch(id, to: nil, summarize: false, instructions: nil)
            }
            #expect(branch?.code == .runInProgress)
            let compact = await #expect(throws: RuntimeError.self) { try await runtime.compact(id, instructions: nil) }
            #expect(compact?.code == .runInProgress)
            // A fork only reads.
            #expect(try await runtime.fork(id, at: nil, name: nil).summary.entryCount > 0)
            running.open()
            _ = try await run.allEvents()

            async let moved = runtime.branch(id, to: nil, summarize: true, instructions: nil)
            await isAsked.wait()
            let refused = await #expect(throws: RuntimeError.self) { _ = try await harness.start("now", in: id) }
            #expect(refused?.code == .runInProgress)
            #expect(try await runtime.session(id).activeRun == nil)
            summarizing.open()
            #expect(try await moved.summary.leafID != nil)
        }
    }

    // MARK: Branches

    @Test func `moving the leaf lasts, and the next message hangs on it`() async throws {
        let harness = RuntimeHarness(turns: [
            StubProvider.text("one"), StubProvider.text("two"), StubProvider.text("three"),
        ])
        try await harness.use { harness in
            let id = try await harness.newSession()
            _ = try await harness.run("first", in: id)
            let first = try #require(try await harness.runtime.session(id).summary.leafID)
            _ = try await harness.run("second", in: id)
            let view = try await harness.runtime.branch(id, to: first, summarize: false, instructions: nil)
            #expect(view.summary.leafID == first)
            // As the next server reads it.
            let stored = SessionTree(
                SessionFile(header: try await harness.file(id).header, entries: harness.store.entries(of: id)))
            #expect(stored.leafID == first)
            let count = stored.entries.count
            #expect(
                try await harness.runtime.branch(id, to: first, summarize: false, instructions: nil).summary.entryCount
                    == count)
            _ = try await harness.run("third", in: id)
            let texts = harness.provider.requests[2].messages.map(Self.text)
            #expect(texts == ["first", "one", "third"])
            let question = harness.store.entries(of: id).last { $0.role == .user }
            #expect(question?.parentID == first)
            let unknown = await #expect(throws: RuntimeError.self) {
                try await harness.runtime.branch(id, to: EntryID(unchecked: "x"), summarize: false, instructions: nil)
            }
            #expect(unknown?.code == .notFound)
            let root = try await harness.runtime.branch(id, to: nil, summarize: false, instructions: nil)
            #expect(root.summary.leafID == nil)
        }
    }

    @Test func `a branch that is left is summed up where the new one begins`() async throws {
        let harness = RuntimeHarness(turns: [
            StubProvider.text("one"), StubProvider.text("a dead end"), StubProvider.text("IT FAILED"),
            StubProvider.text("better"),
        ])
        try await harness.use { harness in
            let id = try await harness.newSession()
            _ = try await harness.run("first", in: id)
            let first = try #require(try await harness.runtime.session(id).summary.leafID)
            _ = try await harness.run("second", in: id)
            let left = try #require(try await harness.runtime.session(id).summary.leafID)
            let view = try await harness.runtime.branch(id, to: first, summarize: true, instructions: "Why?")
            let summary = try #require(harness.store.entries(of: id).last)
            #expect(view.summary.leafID == summary.id)
            #expect(summary.parentID == first)
            #expect(summary.json["type"] == "branch_summary")
            #expect(summary.json["fromId"] == .string(left.rawValue))
            #expect(summary.json["summary"] == "IT FAILED")
            #expect(summary.usage?.totalTokens == 12)
            let prompt = Self.text(harness.provider.requests[2].messages.first)
            #expect(prompt.contains("a dead end") && prompt.contains("Why?") && !prompt.contains("[User]: first"))
            _ = try await harness.run("third", in: id)
            let texts = harness.provider.requests[3].messages.map(Self.text)
            #expect(texts.count == 4)
            #expect(texts[2].contains("IT FAILED"))
        }
    }

    @Test func `a fork is a session of its own with the branch's entries`() async throws {
        let harness = RuntimeHarness(turns: [StubProvider.text("one"), StubProvider.text("two")])
        try await harness.use { harness in
            let id = try await harness.newSession()
            _ = try await harness.run("first", in: id)
            let leaf = try #require(try await harness.runtime.session(id).summary.leafID)
            _ = try await harness.runtime.label(leaf, of: id, as: "good")
            let fork = try await harness.runtime.fork(id, at: leaf, name: "copy").summary
            #expect(fork.id != id)
            #expect(fork.name == "copy")
            let file = try await harness.file(fork.id)
            #expect(try JSONValue(parsing: file.header.line)["parentSession"] == .string("\(id).jsonl"))
            #expect(SessionTree(file).labels == [leaf: "good"])
            let original = harness.store.entries(of: id).prefix { $0.id != leaf }.map(\.line)
            #expect(file.entries.prefix(original.count).map(\.line) == original)
            _ = try await harness.run("second", in: fork.id)
            #expect(harness.provider.requests[1].messages.map(Self.text) == ["first", "one", "second"])
            let unknown = await #expect(throws: RuntimeError.self) {
                try await harness.runtime.fork(id, at: EntryID(unchecked: "x"), name: nil)
            }
            #expect(unknown?.code == .notFound)
        }
    }

    private static func text(_ message: Message?) -> String {
        switch message {
        case .user(let user): user.content.compactMap(\.text).joined()
        case .assistant(let answer): answer.content.compactMap(\.text).joined()
        default: ""
        }
    }
}

extension RuntimeHarness {
    /// The session as it is stored.
    func file(_ id: SessionID) async throws -> SessionFile {
        try SessionFile(parsing: try await store.export(id).bytes())
    }
}
