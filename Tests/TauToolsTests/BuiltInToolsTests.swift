import Glibc
import TauCore
import TauSystem
import Testing

@testable import TauTools

@Suite struct BuiltInToolsTests {
    @Test func `without bubblewrap there is no bash and the listing says why`() async throws {
        let server = try await TestServer(sandboxPrograms: ["/nowhere/bwrap"])
        #expect(server.toolbox.tools.map(\.definition.name) == ["read", "edit", "write", "grep", "find", "ls"])
        let listing = try #require(server.tools.listings.first { $0.definition.name == "bash" })
        #expect(listing.unavailable?.contains("bubblewrap (bwrap) is not installed") == true)
    }

    @Test func `a sandbox that does not confine is not used`() async throws {
        // It starts, and does nothing of what it should.
        let server = try await TestServer(sandboxPrograms: ["/bin/false"])
        #expect(server.toolbox["bash"] == nil)
        #expect(try Directory(path: server.path + "/workspaces").names(limit: 10) == [Array("session-1".utf8)])
    }

    @Test func `a denied tool is listed but not in the toolbox`() async throws {
        let server = try await TestServer(policies: ["write": .deny, "edit": .ask])
        #expect(server.toolbox["write"] == nil)
        #expect(server.toolbox["edit"] != nil)
        #expect(server.tools.listings.first { $0.definition.name == "write" }?.policy == .deny)
    }

    @Test func `sessions do not see each other`() async throws {
        let server = try await TestServer()
        _ = try await server.run("write", ["path": "f", "content": "mine"])
        let other = try await server.tools.toolbox(for: SessionID(unchecked: "session-2"))
        let read = try #require(other["read"])
        for path: JSONValue in ["f", "../session-1/f"] {
            await #expect(throws: ToolFailure.self) {
                let arguments = JSONObject(members: [.init(key: "path", value: path)])
                return try await read.run(ToolInvocation(callID: "c", arguments: arguments))
            }
        }
    }

    @Test(arguments: ["..", ".", "a/b", "", "../outside", ".hidden"])
    func `an id that is no name has no workspace`(id: String) async throws {
        let server = try await TestServer()
        await #expect(throws: ToolFailure.self) { try await server.tools.toolbox(for: SessionID(unchecked: id)) }
        await #expect(throws: ToolFailure.self) { try await server.tools.removeWorkspace(of: SessionID(unchecked: id)) }
        #expect(try content(of: server.path + "/outside/secret") == "SECRET")
    }

    @Test func `tools never run as root`() async {
        let configuration = ToolsConfiguration(workspaceRoot: "/tmp/tau-never", toolUserID: 0)
        await #expect(throws: ToolFailure.self) {
            try await BuiltInTools.make(configuration: configuration, threads: BlockingThreads(count: 1))
        }
        #expect(access("/tmp/tau-never", F_OK) != 0)
    }

    @Test func `a workspace is removed with all that is in it and nothing else`() async throws {
        let server = try await TestServer()
        let deep = Array(repeating: ".removed-1", count: 120).joined(separator: "/")
        _ = try await server.run("write", ["path": .string(deep + "/f"), "content": "x"])
        for index in 0..<5000 { try createFile("\(server.workspace)/\(index)", "") }
        try #require(symlink(server.path + "/outside", server.workspace + "/link") == 0)
        try #require(mkdir(server.workspace + "/locked", 0) == 0)
        try #require(mkfifo(server.workspace + "/fifo", 0o600) == 0)
        try await server.tools.removeWorkspace(of: SessionID(unchecked: "session-1"))
        #expect(access(server.workspace, F_OK) != 0)
        #expect(try content(of: server.path + "/outside/secret") == "SECRET")
        // Not having one is no error.
        try await server.tools.removeWorkspace(of: SessionID(unchecked: "session-1"))
    }
}
