import Foundation
import TauCore
import TauTestKit
import Testing

/// Killing a process cannot show a missing sync, because the kernel still writes what it was given. These rounds take
/// back what was never synced, as a power cut does (Tests/PowerCut).
@Suite(.ownThreads) struct PowerCutTests {
    @Test(arguments: [false, true])
    func `after 500 power cuts every acknowledged entry is there, once and in order`(_ leavesZeros: Bool) async throws {
        var scenario = try await CrashScenario(sessions: 4)
        var power = try PowerSwitch(scenario)
        var generator = SeededGenerator(seed: leavesZeros ? 9 : 10)
        for round in 0..<(500 * tortureFactor) {
            if round.isMultiple(of: 25) {
                scenario = try await CrashScenario(sessions: 4)
                power = try PowerSwitch(scenario)
            }
            let writer = try CrashWriter(
                scenario, journalBytes: 300_000,
                environment: power.environment(
                    cutAt: .random(in: 1...120, using: &generator), seed: generator.next() >> 40, zeros: leavesZeros))
            let acknowledged = writer.acknowledged()
            try #require(writer.diedOfKill)
            guard try await scenario.holds(acknowledged, "round \(round)") else { return }
        }
        #expect(scenario.entryCount > 25)
    }

    @Test func `a power cut at each write and sync of a scenario loses nothing`() async throws {
        var cut = 0
        var endedWell = false
        while !endedWell {
            cut += 1
            try #require(cut < 500)
            let scenario = try await CrashScenario(sessions: 2)
            let power = try PowerSwitch(scenario)
            for seed in 1...2 {
                let writer = try CrashWriter(
                    scenario, batches: 6, journalBytes: 300_000,
                    environment: power.environment(cutAt: cut, seed: UInt64(seed), zeros: seed == 2))
                let acknowledged = writer.acknowledged()
                endedWell = writer.endedWell
                guard try await scenario.holds(acknowledged, "cut at \(cut), seed \(seed)") else { return }
                if endedWell { break }
            }
        }
        // The scenario has that many places at least: otherwise nothing was intercepted.
        #expect(cut > 20)
    }

    /// What a failed sync should have written is lost, although it can still be read: the classic mistake is to sync again.
    @Test func `after a sync that fails the work goes on, and a power cut later loses nothing that was acknowledged`()
        async throws
    {
        // Each sync twice: what else is under way then is a matter of chance.
        for round in (1...40).flatMap({ [$0, $0] }) {
            let scenario = try await CrashScenario(sessions: 2)
            let power = try PowerSwitch(scenario)
            let writer = try CrashWriter(
                scenario, journalBytes: 300_000, goesOn: true,
                environment: power.environment(cutAt: round + 60, seed: UInt64(round), zeros: false, syncFails: round))
            let acknowledged = writer.acknowledged()
            try #require(writer.diedOfKill)
            guard try await scenario.holds(acknowledged, "sync \(round) fails") else { return }
            #expect(scenario.entryCount > 0)
        }
    }

    @Test func `a sync that fails is an error of the append, and what was before stays`() async throws {
        for round in 2...10 {
            let scenario = try await CrashScenario(sessions: 1)
            let power = try PowerSwitch(scenario)
            let writer = try CrashWriter(
                scenario, environment: power.environment(cutAt: 5000, seed: 1, zeros: false, syncFails: round))
            let acknowledged = writer.acknowledged()
            #expect(!writer.diedOfKill && !writer.endedWell)
            guard try await scenario.holds(acknowledged, "sync \(round) fails") else { return }
        }
    }
}

/// The library that takes the power away, built for this machine.
struct PowerSwitch {
    private let library: String
    private let directory: String

    init(_ scenario: CrashScenario) throws {
        library = try Self.built.get()
        directory = URL(fileURLWithPath: scenario.directory.path).resolvingSymlinksInPath().path
    }

    private static let built = Result {
        try BuiltPrograms.compile("PowerCut/power-cut.c", to: "power-cut.so", options: ["-shared", "-fPIC"])
    }

    func environment(cutAt call: Int, seed: UInt64, zeros: Bool, syncFails: Int = 0) -> [String: String] {
        [
            "LD_PRELOAD": library, "POWER_CUT_DIRECTORY": directory, "POWER_CUT_AT": "\(call)",
            "POWER_CUT_SEED": "\(seed)", "POWER_CUT_ZEROS": zeros ? "1" : "0", "SYNC_FAILS_AT": "\(syncFails)",
        ]
    }
}
