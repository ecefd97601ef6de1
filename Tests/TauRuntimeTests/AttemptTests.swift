import TauCore
import TauRuntime
import TauTestKit
import Testing

/// Requests that are sent again, to a runtime that may have carried them out.
@Suite struct AttemptTests {
    private static let first = RequestAttempt(
        id: "0197a000-0000-7000-8000-000000000001", time: Timestamp(milliseconds: 1_700_000_000_500), isRepeat: false)
    private static var again: RequestAttempt {
        var attempt = first
        attempt.isRepeat = true
        return attempt
    }
    private static let content = [ContentBlock.text("hello")]

    private static func messages(_ store: MemorySessionStore, _ session: SessionID) -> Int {
        store.entries(of: session).count { $0.role == .user }
    }

    @Test func `a run has the id and the time of its first attempt, and is found by them`() async throws {
        try await RuntimeHarness(turns: [StubProvider.text("hi")]).use { harness in
            let session = try await harness.newSession()
            let missing = try await harness.runtime.startedRun(by: Self.again, with: Self.content, in: session)
            #expect(missing == nil)
            let run = try await harness.runtime.startRun(
                RunRequest(content: Self.content, attempt: Self.first), in: session)
            _ = try await run.allEvents()
            #expect(run.id.rawValue == Self.first.id)
            #expect(run.snapshot.createdAt == Self.first.time)
            let found = try await harness.runtime.startedRun(by: Self.again, with: Self.content, in: session)
            #expect(found?.id == run.id)
            // A first attempt is not looked for.
            let other = try await harness.runtime.startedRun(by: Self.first, with: Self.content, in: session)
            #expect(other == nil)
        }
    }

    @Test func `a run whose record is lost is found by its message, and counts as interrupted`() async throws {
        let before = RuntimeHarness(turns: [StubProvider.text("hi")])
        let session = try await before.use { harness in
            let session = try await harness.newSession()
            let request = RunRequest(content: Self.content, attempt: Self.first)
            _ = try await harness.runtime.startRun(request, in: session).allEvents()
            return session
        }
        await before.store.close(session)
        try await RuntimeHarness(store: before.store).use { harness in
            let other = [ContentBlock.text("something else")]
            #expect(try await harness.runtime.startedRun(by: Self.again, with: other, in: session) == nil)
            let found = try await harness.runtime.startedRun(by: Self.again, with: Self.content, in: session)
            #expect(found?.id.rawValue == Self.first.id)
            #expect(found?.status == .interrupted)
            let recorded = try await harness.runtime.snapshot(of: RunID(unchecked: Self.first.id))
            #expect(recorded.status == .interrupted)
        }
        #expect(Self.messages(before.store, session) == 1)
    }

    @Test func `a session is made once`() async throws {
        try await RuntimeHarness().use { harness in
            let draft = SessionDraft()
            let made = try await harness.runtime.createSession(draft, attempt: Self.again)
            #expect(made.summary.id.rawValue == Self.first.id)
            let again = try await harness.runtime.createSession(draft, attempt: Self.again)
            #expect(again.summary.id == made.summary.id)
            var forking = Self.again
            forking.id = "0197a000-0000-7000-8000-000000000002"
            for _ in 0..<2 {
                let fork = try await harness.runtime.fork(made.summary.id, at: nil, name: "f", attempt: forking)
                #expect(fork.summary.id.rawValue == forking.id)
            }
        }
    }
}
