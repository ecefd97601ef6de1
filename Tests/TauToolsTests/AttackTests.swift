import Foundation
import Glibc
import TauCore
import TauSystem
import TauTestKit
import Testing

@testable import TauTools

/// Commands that attack, each tried outside of the sandbox first where it can be: an attempt that fails everywhere proves
/// nothing.
@Suite(.ownThreads, .enabled(if: TestServer.hasSandbox, "bubblewrap is not installed"), .timeLimit(.minutes(5)))
struct AttackTests {
    @Test(arguments: [Attack.network, Attack.files, Attack.processes, Attack.resources, Attack.kernel])
    func `no attack gets out`(attacks: [Attack]) async throws {
        let scene = try await AttackScene()
        for attack in attacks {
            if attack.outside != .notTried {
                let control = try scene.outside(attack.command)
                let succeeded = scene.hasSucceeded(control)
                #expect(
                    succeeded == (attack.outside == .succeeds),
                    "\(attack) outside of the sandbox: \(control.prefix(500))")
                scene.clearUp()
            }
            let output = try await scene.inside(attack.command, seconds: attack.seconds)
            #expect(!scene.hasSucceeded(output), "\(attack): \(output.prefix(500))")
            scene.clearUp()
        }
        #expect(scene.victim.isAlive)
        #expect(try content(of: "\(scene.server.path)/outside/secret") == AttackScene.secret)
    }

    @Test func `output can harm neither a page nor a memory`() async throws {
        let server = try await TestServer()
        let harmless = try await server.bash("printf 'a\\000b\\377\\033[2J\\302\\233x\\r\\n'")
        #expect(harmless == "a\u{FFFD}b\u{FFFD}[2J\u{FFFD}x\n" || !harmless.unicodeScalars.contains { $0.value < 9 })
        #expect(!harmless.utf8.contains(0x1B) && !harmless.utf8.contains(0))
        let line = try await server.bash("head -c 3M /dev/zero | tr '\\0' x")
        #expect(line.utf8.count < 100_000)
    }

    @Test func `a command gets its share of the processors`() async throws {
        var limits = ToolLimits()
        limits.maxCommandProcessors = 0.25
        let server = try await TestServer(limits: limits)
        let notes = server.tools.listings.compactMap(\.note).joined()
        try #require(!notes.contains("for each process only"), "this machine gives no control groups")
        // The children's processor time: user and system.
        let output = try await server.bash(
            """
            start=$EPOCHREALTIME
            for i in 1 2 3; do (while :; do :; done) & done
            sleep 2; kill $(jobs -p); wait
            times | tail -1; echo "$start $EPOCHREALTIME"
            """)
        let lines = output.split(separator: "\n").suffix(2)
        let used = try #require(lines.first).split(separator: " ").compactMap { time -> Double? in
            let parts = time.dropLast().split(separator: "m")
            guard parts.count == 2, let minutes = Double(parts[0]), let seconds = Double(parts[1]) else { return nil }
            return minutes * 60 + seconds
        }
        let times = try #require(lines.last).split(separator: " ").compactMap { Double($0) }
        try #require(used.count == 2 && times.count == 2, "\(output)")
        // Each period may be begun with what the last one left.
        #expect(used[0] + used[1] < (times[1] - times[0]) * 0.25 + 0.2, "\(output)")
    }
}

extension AttackScene {
    func hasSucceeded(_ output: String) -> Bool {
        output.contains("BREACH") || output.contains(Self.secret) || isChannelOpen || !leftProcesses.isEmpty
    }

    private var channel: String { "/tmp/tau-channel-\(victim.port)" }
    private var isChannelOpen: Bool { access(channel, F_OK) == 0 }

    /// Processes outside of the test that have the attack's number on their command line.
    private var leftProcesses: [Int32] {
        let mark = Array("97\(victim.port)".utf8)
        let processes = ((try? Directory(path: "/proc").names(limit: 1_000_000)) ?? [])
            .compactMap { Int32(String(decoding: $0, as: UTF8.self)) }
        return processes.filter { process in
            guard let line = FileManager.default.contents(atPath: "/proc/\(process)/cmdline") else { return false }
            return Array(line).firstRange(of: mark) != nil
        }
    }

    /// Takes away what an attempt outside of the sandbox has left.
    func clearUp() {
        _ = unlink(channel)
        // One that is killed may just have started another.
        while let process = leftProcesses.first {
            kill(process, SIGKILL)
            waitForEnd(ofOrphan: process, milliseconds: 5000)
        }
    }
}
