import Glibc
import TauCore
import TauSystem
import TauTestKit
import Testing

@testable import TauTools

@Suite(
    .ownThreads, .enabled(if: TestServer.hasSandbox && geteuid() == 0, "bubblewrap and root are needed"),
    .timeLimit(.minutes(2)))
struct WorkspaceVolumeTests {
    private func server(_ volume: WorkspaceVolume) async throws -> TestServer {
        var limits = ToolLimits()
        limits.workspaceVolume = volume
        limits.maxWorkspaceBytes = 16 << 20
        limits.maxWorkspaceFiles = 500
        return try await TestServer(limits: limits)
    }

    private static let canLoop = access("/dev/loop-control", F_OK) == 0 && access("/usr/sbin/mkfs.ext4", X_OK) == 0
    private static let volumes = canLoop ? [WorkspaceVolume.tmpfs, .loopback] : [.tmpfs]

    @Test(arguments: volumes)
    func `a file system of its own stops a command at its size, and the run goes on`(volume: WorkspaceVolume)
        async throws
    {
        let server = try await server(volume)
        #expect(server.tools.listings.compactMap(\.note) == [])
        let output = try await server.bash(
            "for i in {1..40}; do head -c 1M /dev/zero > f$i || break; done 2>&1 | tail -1; du -sm . | cut -f1")
        let lines = output.split(separator: "\n")
        #expect(lines.first?.contains("No space left") == true, "\(output)")
        #expect(Int(lines.last ?? "").map { (8...17).contains($0) } == true, "\(output)")
        #expect(
            try await server.failure(
                "write", ["path": "more", "content": .string(String(repeating: "x", count: 2 << 20))]
            ).code == .tooLarge)
        #expect(
            try await server.bash("rm f*; for i in {1..600}; do : > e$i || break; done 2> /dev/null; ls | wc -l").count
                == 3)
        _ = try await server.bash("rm -f e*; echo kept > file")
        #expect(try await server.run("read", ["path": "file"]).text == "kept\n")
        // Another batch of calls, and another server on the same directory, find what there is.
        let tool = try #require(try await server.tools.toolbox(for: SessionID(unchecked: "session-1"))["read"])
        let path: JSONValue = ["path": "file"]
        let arguments = try #require(path.object)
        #expect(try await tool.run(ToolInvocation(callID: "c", arguments: arguments)).text == "kept\n")
        try await server.tools.removeWorkspace(of: SessionID(unchecked: "session-1"))
        #expect(access(server.workspace, F_OK) != 0)
        #expect(!mounts().contains(server.workspace))
        #expect(access(server.path + "/workspaces/.volumes/session-1.ext4", F_OK) != 0)
    }

    @Test func `what stays in memory does not count against the next command`() async throws {
        var limits = ToolLimits()
        limits.workspaceVolume = .tmpfs
        limits.maxCommandMemoryBytes = 64 << 20
        let server = try await TestServer(limits: limits)
        // Often enough that each control group has its turn again.
        for number in 1...12 {
            #expect(try await server.bash("head -c 40M /dev/zero > f\(number); echo \(number)") == "\(number)")
        }
        try await server.tools.removeWorkspace(of: SessionID(unchecked: "session-1"))
    }

    @Test func `a session's end takes its volume away although a command still runs`() async throws {
        let server = try await server(.tmpfs)
        async let command = server.failure("bash", ["command": "echo x > x; sleep 2; exit 3"])
        try await server.tools.removeWorkspace(of: SessionID(unchecked: "session-1"))
        #expect(!mounts().contains(server.workspace))
        _ = try await command
    }

    private func mounts() -> String { readSmallFile("/proc/self/mountinfo") ?? "" }

    @Test func `only root can have volumes`() async throws {
        let directory = try Directory(path: "/tmp")
        #expect(throws: SystemError(call: "workspace.volume tmpfs, which needs root", code: ENOTSUP)) {
            try WorkspaceVolumes(.tmpfs, path: "/tmp", directory: directory, owner: nil, bound: DiskUsage())
        }
    }

    @Test func `a project's quota is set where there is one, and read back`() async throws {
        let server = try await server(.directory)
        let root = try Directory(path: server.path)
        let workspace = try Directory(path: server.workspace)
        guard root.hasProjectQuota else {
            #expect(throws: SystemError.self) { try workspace.makeProject(bound: DiskUsage(bytes: 1 << 20, files: 10)) }
            #expect(server.tools.listings.compactMap(\.note).first?.contains("is measured while commands run") == true)
            return
        }
        let output = try await server.bash("head -c 30M /dev/zero > f 2>&1; du -sm f | cut -f1")
        #expect(output.contains("quota"))
    }
}
