import Glibc
import Synchronization
import TauCore
import TauSystem
import Testing

@testable import TauTools

/// The built-in tools with a workspace directory of their own, which goes away with it.
final class TestServer: Sendable {
    /// Everything of this server: `workspaces` and, outside of them, `outside/secret`.
    let path: String
    let tools: BuiltInTools
    let toolbox: Toolbox
    /// The session's workspace as the server sees it.
    let workspace: String

    init(
        limits: ToolLimits = ToolLimits(), policies: [String: ToolPolicy] = [:], sandboxPrograms: [String]? = nil,
        usesRipgrep: Bool = true, confinement: ToolsConfiguration.Confinement = .sandbox
    ) async throws {
        var template = Array("/tmp/tau-tools-XXXXXX".utf8CString)
        // The directory's mode is 0700: commands could not pass through it on their own.
        path = String(cString: try #require(mkdtemp(&template)))
        try #require(mkdir(path + "/outside", 0o755) == 0)
        var configuration = ToolsConfiguration(workspaceRoot: path + "/workspaces", limits: limits, policies: policies)
        configuration.confinement = confinement
        tools = try await BuiltInTools.make(
            configuration: configuration, threads: BlockingThreads(count: 2), sandboxPrograms: sandboxPrograms,
            usesRipgrep: usesRipgrep)
        toolbox = try await tools.toolbox(for: SessionID(unchecked: "session-1"))
        workspace = path + "/workspaces/session-1"
        try createFile("\(path)/outside/secret", "SECRET")
    }

    deinit {
        try? Directory(path: path).removeContents()
        _ = rmdir(path)
    }

    static let hasSandbox = access("/usr/bin/bwrap", X_OK) == 0 || access("/usr/local/bin/bwrap", X_OK) == 0

    func run(
        _ tool: String, _ arguments: JSONValue, report: @escaping @Sendable (ToolOutput) -> Void = { _ in }
    ) async throws -> ToolOutput {
        let tool = try #require(toolbox[tool], "\(tools.listings.compactMap(\.unavailable))")
        let object = try #require(arguments.object)
        return try await tool.run(ToolInvocation(callID: "call", arguments: object, report: report))
    }

    /// The failure of a call that must fail.
    func failure(_ tool: String, _ arguments: JSONValue) async throws -> ToolFailure {
        do {
            let output = try await run(tool, arguments)
            throw UnexpectedSuccess(output: output.text)
        } catch let failure as ToolFailure {
            return failure
        }
    }

    struct UnexpectedSuccess: Error { var output: String }

    func bash(_ command: String) async throws -> String {
        try await run("bash", ["command": .string(command)]).text
    }

    /// The workspace for tests of what lies below the tools.
    func openWorkspace() async throws -> Workspace {
        let root = try WorkspaceRoot(path: path + "/workspaces", owner: nil)
        return try await Workspace.open(
            "session-1", in: root, limits: ToolLimits(), protected: ProtectedNames.Matcher(ProtectedNames()),
            threads: BlockingThreads(count: 1))
    }
}

extension ToolOutput {
    var text: String { content.compactMap(\.text).joined() }
}

func createFile(_ path: String, _ content: String) throws {
    try createFile(path, Array(content.utf8))
}

func createFile(_ path: String, _ content: [UInt8]) throws {
    let number = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    try #require(number >= 0, "\(path)")
    try FileDescriptor(adopting: number).write(content)
}

/// nil if it cannot be opened.
func content(of path: String) throws -> String? {
    let number = open(path, O_RDONLY | O_NOFOLLOW)
    guard number >= 0 else { return nil }
    return String(decoding: try FileDescriptor(adopting: number).readAll(limit: 100 << 20) ?? [], as: UTF8.self)
}

func fileStatus(_ path: String) throws -> stat {
    var status = stat()
    try #require(lstat(path, &status) == 0, "\(path)")
    return status
}
