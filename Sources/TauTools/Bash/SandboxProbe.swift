internal import TauCore
internal import TauSystem

/// Whether commands can be confined on this server.
enum SandboxStatus: Sendable {
    case ready(Sandbox)
    /// Why not. There is no weaker mode: without a sandbox there are no commands.
    case unavailable(String)
}

extension Sandbox {
    /// Fails unless it is what a sandbox should be: another user, no kernel settings to write, no network but its own
    /// loopback, a workspace to write.
    private static let selfTest = """
        [ "$(id -u)" = 1000 ] && [ ! -w /proc/sys/kernel/core_pattern ] && [ ! -e /root ] \
        && [ "$(wc -l < /proc/net/dev)" -le 3 ] && : > /workspace/probe
        """

    /// Tries the sandbox with a real command in a workspace made for that.
    static func probe(
        root: WorkspaceRoot, limits: ToolLimits, threads: BlockingThreads, programs: [String]? = nil
    ) async -> SandboxStatus {
        let name = ".probe-" + String(UInt64.random(in: .min ... .max), radix: 16)
        do {
            let sandbox = try Sandbox(identity: root.owner, limits: limits, programs: programs)
            let workspace = try await Workspace.open(name, in: root, limits: limits, threads: threads)
            let execution = try CommandExecution(
                command: selfTest, timeoutSeconds: 10, sandbox: sandbox, workspace: workspace, report: { _ in })
            let outcome = await execution.run()
            try await threads.run { () throws(SystemError) in try root.remove(name) }
            if case .exited(.code(0)) = outcome.end { return .ready(sandbox) }
            return .unavailable("the sandbox does not work here: \(outcome.end) \(outcome.output.text)")
        } catch {
            return .unavailable("the sandbox does not work here: \(error)")
        }
    }
}
