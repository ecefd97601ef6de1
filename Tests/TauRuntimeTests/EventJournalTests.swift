import TauCore
import TauTestKit
import Testing

@testable import TauRuntime

@Suite struct EventJournalTests {
    static func delta(_ text: String) -> RunEvent { .messageUpdate(.textDelta(index: 0, text), toolCall: nil) }

    @Test func `a late reader gets everything from the start, another one goes on where it was`() async throws {
        let journal = EventJournal(maxBytes: 1 << 20)
        journal.publish(.agentStart)
        journal.publish(.turnStart)
        journal.publish(.agentEnd([]))
        journal.close()
        let all = try await journal.events(after: 0)
        #expect(all?.map(\.number) == [1, 2, 3])
        #expect(all?.map(\.type) == ["agent_start", "turn_start", "agent_end"])
        #expect(try await journal.events(after: 1)?.map(\.number) == [2, 3])
        #expect(try await journal.events(after: 3) == nil)
    }

    @Test func `readers that wait are woken by the next event and by the end`() async throws {
        let journal = EventJournal(maxBytes: 1 << 20)
        async let first = journal.events(after: 0)
        journal.publish(.agentStart)
        #expect(try await first?.count == 1)
        async let end = journal.events(after: 1)
        journal.close()
        #expect(try await end == nil)
    }

    @Test func `a cancelled reader stops waiting`() async throws {
        let journal = EventJournal(maxBytes: 1 << 20)
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { _ = try await journal.events(after: 0) }
            group.cancelAll()
            await #expect(throws: CancellationError.self) { try await group.next() }
        }
    }

    @Test func `at the bound the deltas of ended messages go first`() async throws {
        let journal = EventJournal(maxBytes: 4000)
        let message = Message.user(UserMessage(content: [.text("all")], timestamp: Timestamp(milliseconds: 0)))
        for _ in 0..<30 { journal.publish(Self.delta("old")) }
        journal.publish(.messageEnd(message))
        for _ in 0..<20 { journal.publish(Self.delta("new")) }
        let left = try #require(try await journal.events(after: 0))
        #expect(left.first?.number == 31)
        #expect(left.first?.type == "message_end")
        #expect(left.last?.number == 51)
        let texts = try left.map { try JSONValue(parsing: $0.data)["assistantMessageEvent"]?["delta"]?.string ?? "" }
        #expect(texts.joined() == String(repeating: "new", count: 20))
    }

    @Test func `what is kept stays below the bound however much comes`() async throws {
        let journal = EventJournal(maxBytes: 10_000)
        for number in 0..<5000 { journal.publish(Self.delta("delta number \(number)")) }
        let left = try #require(try await journal.events(after: 0))
        #expect(left.reduce(0) { $0 + $1.data.count } <= 10_000)
        #expect(left.last?.number == 5000)
        #expect(zip(left, left.dropFirst()).allSatisfy { $0.number < $1.number })
    }
}
