internal import Glibc
internal import Synchronization
internal import TauCore
package import TauSystem

/// Starts the sandbox without anything around it, to measure what Tau adds.
package struct CommandBench: Sendable {
    private let sandbox: Sandbox
    private let workspace: Workspace

    /// In a workspace of its own below `configuration.workspaceRoot`.
    package init(configuration: ToolsConfiguration, threads: BlockingThreads) async throws {
        let root = try WorkspaceRoot(path: configuration.workspaceRoot, owner: configuration.toolIdentity)
        sandbox = try Sandbox(
            confinement: .sandbox, identity: root.owner, limits: configuration.limits)
        workspace = try await Workspace.open(
            "bench", in: root, limits: configuration.limits, protected: .init(configuration.protectedNames),
            threads: threads)
    }

    /// The same line as commands have it, spawned, waited for and nothing else, on `threads` threads at once. Answers
    /// the number in a second. Blocks.
    package func bareRate(command: String, count: Int, threads: Int) throws(SystemError) -> Double {
        let null = try Directory(path: "/dev").openFile(Array("null".utf8), links: .refused)
        let start = monotonicMilliseconds()
        let finished = try EventDescriptor()
        let remaining = Countdown(count: count, threads: threads)
        for _ in 0..<threads {
            try SystemThread.start { [null = null.number] in
                var orphans: [Int32] = []
                while remaining.takeOne() {
                    if let orphan = try? spawn(command, output: null) { orphans.append(orphan) }
                }
                for orphan in orphans { waitForEnd(ofOrphan: orphan, milliseconds: 1000) }
                if remaining.leave() { finished.signal() }
            }
        }
        _ = try waitForInput([finished.number], milliseconds: 600_000)
        return Double(count) * 1000 / Double(max(1, monotonicMilliseconds() - start))
    }

    /// Answers the sandbox's first process.
    private func spawn(_ command: String, output: Int32) throws(SystemError) -> Int32? {
        let files = try Sandbox.Files(sandbox)
        let child = try ChildProcess.spawn(
            sandbox.request(
                .shell(command), workspace: workspace, output: output, files: files, isGrouped: true,
                timeoutSeconds: 60))
        guard child.reap() == .code(0) else { throw SystemError(call: "bwrap", code: ECHILD) }
        return Sandbox.firstProcess(files.closingChildsEnds())
    }
}

/// Work that several threads share.
private final class Countdown: Sendable {
    private let state: Mutex<(remaining: Int, working: Int)>

    init(count: Int, threads: Int) { state = Mutex((count, threads)) }

    func takeOne() -> Bool {
        state.withLock { state in
            guard state.remaining > 0 else { return false }
            state.remaining -= 1
            return true
        }
    }

    /// True for the last thread.
    func leave() -> Bool {
        state.withLock { state in
            state.working -= 1
            return state.working == 0
        }
    }
}
