import Foundation
import TauCore
import TauTestKit
import Testing

@testable import TauStorage

/// Real processes, really killed.
@Suite(.ownThreads) struct CrashTests {
    @Test(arguments: [1, 2])
    func `after 250 kills while 50 writers append, every acknowledged entry is there, once and in order`(
        _ seed: UInt64
    ) async throws {
        var scenario = try await CrashScenario(sessions: 50)
        var generator = SeededGenerator(seed: seed)
        for round in 0..<(250 * tortureFactor) {
            if round.isMultiple(of: 25) { scenario = try await CrashScenario(sessions: 50) }
            // A small journal, so that kills hit checkpoints, too.
            let writer = try CrashWriter(scenario, journalBytes: 300_000)
            writer.kill(afterBatches: Int.random(in: 1...60, using: &generator))
            let acknowledged = writer.acknowledged()
            try #require(writer.diedOfKill)
            guard try await scenario.holds(acknowledged, "round \(round)") else { return }
        }
        #expect(scenario.entryCount > 25)
    }

    @Test func `while a process writes a session no other may, and its death gives the session free`() async throws {
        let scenario = try await CrashScenario(sessions: 1)
        let writer = try CrashWriter(scenario)
        writer.wait(forBatches: 2)
        let store = try scenario.directory.store()
        let id = scenario.ids[0]
        let refused = await #expect(throws: StoreError.self) { try await store.open(id) }
        #expect(refused?.code == .conflict)
        let kept = await #expect(throws: StoreError.self) { try await store.delete(id) }
        #expect(kept?.code == .conflict)
        // Reading needs no right to write.
        #expect(try await store.list(SessionQuery()).sessions.map(\.id) == [id])
        _ = try SessionFile(parsing: try await store.export(id).bytes())
        writer.kill(afterBatches: 3)
        #expect(try await scenario.holds(writer.acknowledged(), "after the kill"))
    }

    @Test
    func `two processes share a directory: each session has one of them, and what one leaves the other continues`()
        async throws
    {
        let scenario = try await CrashScenario(sessions: 3)
        let store = try scenario.directory.store()
        let own = SessionStoreContract.file("own")
        try await store.create(own)
        var last: Entry?
        for round in 0..<20 {
            let writer = try CrashWriter(scenario, batches: 3, journalBytes: 300_000)
            for step in 0..<5 {
                let entry = SessionStoreContract.entry("\(round)-\(step)", after: last)
                try await store.append([entry], to: own.header.id, after: last?.id)
                last = entry
            }
            let acknowledged = writer.acknowledged()
            #expect(writer.endedWell)
            guard try await scenario.holds(acknowledged, "round \(round)") else { return }
        }
        await store.close(own.header.id)
        #expect(try await store.open(own.header.id).entries.count == 100)
    }
}
