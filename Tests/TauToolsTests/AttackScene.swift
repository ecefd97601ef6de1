import Foundation
import Glibc
import Synchronization
import TauCore
import TauSystem
import TauTestKit
import Testing

@testable import TauTools

/// A server with a session whose commands attack it, and around it what they aim at: a neighbour's workspace, secrets of
/// the host, and a process of the tools' own user that holds sockets, memory and a secret.
final class AttackScene: Sendable {
    /// What no command may ever read.
    static let secret = "CANARY-5e1f"

    let server: TestServer
    let victim: Victim
    private let leak: FileDescriptor
    private let identity: ChildRequest.Identity?

    init() async throws {
        setenv("TAU_TEST_ATTACK", Self.secret, 1)
        var limits = ToolLimits()
        limits.maxFileBytes = 16 << 20
        limits.maxWorkspaceBytes = 64 << 20
        limits.quotaIntervalMilliseconds = 10
        limits.maxCommandMemoryBytes = 128 << 20
        limits.outputStopBytes = 4 << 20
        // The box is what is tried here.
        limits.refusesDangerousCommands = false
        server = try await TestServer(limits: limits)
        identity = ToolsConfiguration(workspaceRoot: "").toolIdentity
        // Outside of the sandbox the tools' user may come here.
        try #require(chmod(server.path, 0o755) == 0)
        try createFile("\(server.path)/outside/secret", Self.secret)
        let probe = try Self.probe.get()
        for directory in ["\(server.path)/outside", server.workspace] { try Self.copy(probe, to: directory) }
        _ = try await server.tools.toolbox(for: SessionID(unchecked: "neighbour"))
        try createFile("\(server.path)/workspaces/neighbour/secret", Self.secret)
        try #require(chmod("\(server.path)/workspaces/neighbour/secret", 0o666) == 0)
        try #require(mkdir("\(server.path)/sockets", 0o777) == 0 && chmod("\(server.path)/sockets", 0o777) == 0)
        try #require(mkdir("\(server.path)/controls", 0o777) == 0 && chmod("\(server.path)/controls", 0o777) == 0)
        try Self.copy(probe, to: "\(server.path)/controls")
        // A server that forgot to say that its files are its own.
        leak = FileDescriptor(adopting: open("\(server.path)/outside/secret", O_RDONLY))
        victim = try Victim(directory: server.path, identity: identity)
        // Whatever is held is held by the sandbox, and not because the program does not run there.
        try #require(await inside("./probe socket 1 1").contains("BREACH"), "the attempts do not run in the sandbox")
    }

    /// The attempts' program. It must need nothing but the C library, which is all that the sandbox has.
    private static let probe = Result {
        try BuiltPrograms.compile("AttackProbe/attack-probe.c", to: "attack-probe")
    }

    private static func copy(_ probe: String, to directory: String) throws {
        try FileManager.default.copyItem(atPath: probe, toPath: directory + "/probe")
        try #require(chmod(directory + "/probe", 0o755) == 0)
    }

    /// A command with the scene's names in it.
    func command(_ template: String) -> String {
        template.replacing("$SCENE", with: server.path).replacing("$PORT", with: victim.port)
            .replacing("$VICTIM", with: victim.process).replacing("$MEMORY", with: victim.memory)
            .replacing("$ABSTRACT", with: victim.abstractName).replacing("$SERVER", with: "\(getpid())")
    }

    /// What the command wrote in the sandbox, and how it ended.
    func inside(_ template: String, seconds: Int = 20) async throws -> String {
        do {
            let output = try await server.run(
                "bash", ["command": .string(command(template)), "timeout": .integer(seconds)])
            return output.text
        } catch let failure as ToolFailure {
            return failure.message
        }
    }

    /// What the command writes as the tools' user without the sandbox, in a directory of its own.
    func outside(_ template: String, milliseconds: Int = 20_000) throws -> String {
        let pipe = try TauSystem.Pipe()
        var request = ChildRequest(
            executable: "/bin/bash", arguments: ["--noprofile", "--norc", "-c", command(template)],
            environment: ["PATH=/usr/local/bin:/usr/bin:/bin:/sbin", "LEAKED=\(Self.secret)"],
            output: pipe.writing.number)
        let controls = try Directory(path: server.path + "/controls")
        request.directory = controls.descriptor.number
        request.inherited = [leak.number]
        request.identity = identity
        let child = try ChildProcess.spawn(request)
        let reading = pipe.closingWritingEnd()
        let deadline = monotonicMilliseconds() + milliseconds
        var output: [UInt8] = []
        while output.count < 1 << 20 {
            let ready = try waitForInput(
                [reading.number, child.endDescriptor], milliseconds: max(0, deadline - monotonicMilliseconds()))
            guard ready[0] else { break }
            let piece = try reading.read(atMost: 65_536)
            guard !piece.isEmpty else { break }
            output += piece
        }
        // Without a sandbox, what the command left behind in other process groups stays: whoever needs that looks now.
        child.killGroup()
        _ = child.reap()
        return String(decoding: output, as: UTF8.self)
    }
}

/// A process of the tools' user outside of the sandbox. It ends when this object goes.
final class Victim: Sendable {
    let process: String
    let port: String
    let memory: String
    let abstractName = "tau-attack-\(getpid())-\(UInt32.random(in: .min ... .max))"
    private let child: Mutex<ChildProcess?>
    /// The victim ends by itself when this does, and takes its shared memory with it.
    private let life: Mutex<TauSystem.Pipe?>

    init(directory: String, identity: ChildRequest.Identity?) throws {
        let life = try TauSystem.Pipe()
        let output = try TauSystem.Pipe()
        var request = ChildRequest(
            executable: "\(directory)/outside/probe",
            arguments: ["victim", "\(directory)/sockets/socket", abstractName],
            environment: ["VICTIM=\(AttackScene.secret)"], output: output.writing.number)
        request.inherited = [life.reading.number]
        request.identity = identity
        let child = try ChildProcess.spawn(request)
        let line = String(decoding: try output.closingWritingEnd().read(atMost: 100), as: UTF8.self)
        let numbers = line.split(whereSeparator: \.isWhitespace).map(String.init)
        try #require(numbers.count == 2, "the victim said \(line)")
        (process, port, memory) = ("\(child.processID)", numbers[0], numbers[1])
        self.child = Mutex(child)
        self.life = Mutex(life)
    }

    var isAlive: Bool { Int32(process).map { kill($0, 0) == 0 } ?? false }

    deinit {
        life.withLock { $0 = nil }
        _ = child.withLock { $0.take() }?.reap()
    }
}
