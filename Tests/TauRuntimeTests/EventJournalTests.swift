import TauCore
import TauTestKit
import Testing

@testable import TauRuntime

@Suite(.timeLimit(.minutes(1))) struct EventJournalTests {
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

    // MARK: Pieces

    func deltas(_ records: [EventJournal.Record]?) throws -> [String] {
        try (records ?? []).compactMap { try JSONValue(parsing: $0.data)["assistantMessageEvent"]?["delta"]?.string }
    }

    func journal(hold: Duration = .seconds(3600)) -> EventJournal {
        EventJournal(maxBytes: 1 << 20, maxDeltaBytes: 10, maxHold: hold)
    }

    @Test func `small pieces become one event, and the first is told at once`() async throws {
        let journal = journal()
        journal.publish(.messageUpdate(.textStart(index: 0), toolCall: nil))
        for text in ["a", "b", "c", "defghijk", "l", "m"] { journal.publish(Self.delta(text)) }
        #expect(try deltas(journal.available(after: 0)) == ["a", "bcdefghijk"])
        // Something else happens: what is held comes before it.
        journal.publish(.messageUpdate(.textEnd(index: 0), toolCall: nil))
        let records = try #require(journal.available(after: 0))
        #expect(try deltas(records) == ["a", "bcdefghijk", "lm"])
        #expect(records.map(\.number) == [1, 2, 3, 4, 5])
    }

    @Test func `pieces of different blocks are kept apart`() async throws {
        let journal = journal()
        journal.publish(.turnStart)
        for (index, text) in [(0, "a"), (0, "b"), (1, "c"), (1, "d"), (0, "e")] {
            journal.publish(.messageUpdate(.textDelta(index: index, text), toolCall: nil))
        }
        journal.publish(.messageUpdate(.thinkingDelta(index: 0, "f"), toolCall: nil))
        journal.close()
        #expect(try deltas(journal.available(after: 0)) == ["a", "b", "cd", "e", "f"])
    }

    @Test func `a reader does not wait for ever for a small piece`() async throws {
        let journal = journal(hold: .milliseconds(1))
        journal.publish(Self.delta("first"))
        journal.publish(Self.delta("x"))
        #expect(try deltas(try await journal.events(after: 1)) == ["x"])
        // Nor does one that is there already when it comes.
        async let next = journal.events(after: 2)
        journal.publish(Self.delta("y"))
        #expect(try deltas(try await next) == ["y"])
    }

    @Test func `silence is told to a reader that asked for it`() async throws {
        let journal = journal()
        guard case .silence = try await journal.next(after: 0, patience: .milliseconds(1)) else {
            Issue.record("no silence")
            return
        }
        journal.close()
        guard case .end = try await journal.next(after: 0, patience: .milliseconds(1)) else {
            Issue.record("no end")
            return
        }
    }

    @Test func `who comes late to a long message gets it in one piece a block`() async throws {
        let journal = EventJournal(maxBytes: 1 << 20)
        let ended = Message.user(UserMessage(content: [.text("x")], timestamp: Timestamp(milliseconds: 0)))
        for _ in 0..<50 { journal.publish(Self.delta("old")) }
        journal.publish(.messageEnd(ended))
        for number in 0..<40 { journal.publish(Self.delta("\(number % 10)")) }
        journal.publish(.messageUpdate(.thinkingDelta(index: 1, "t"), toolCall: nil))
        let late = try #require(journal.available(after: 0, isLate: true))
        // Who was there all the time gets every piece, and every number.
        #expect(journal.available(after: 0)?.map(\.number) == Array(1...92))
        // What has ended is told as it was.
        #expect(late.count == 53)
        let texts = try deltas(late)
        #expect(Array(texts.suffix(2)) == [String(repeating: "0123456789", count: 4), "t"])
        let numbers = late.map(\.number)
        #expect(Array(numbers.suffix(2)) == [91, 92])
        // Who has most of it gets the rest as it came.
        #expect(journal.available(after: 80, isLate: true)?.map(\.number) == Array(81...92))
    }
}
