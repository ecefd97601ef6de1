internal import TauCore
internal import TauSystem

/// How a command ended.
enum CommandEnd: Sendable, Hashable {
    case exited(ExitStatus)
    case timedOut
    case aborted
    /// Whoever took the output wanted no more.
    case full
    /// The workspace holds too much.
    case overQuota(WorkspaceQuota.Excess)
    /// It could not be run or watched.
    case failed(SystemError)
}

/// Who takes a command's output, on the command's thread.
protocol CommandSink: ~Copyable, SendableMetatype {
    associatedtype Result: Sendable

    mutating func append(_ bytes: [UInt8])
    /// Whether no more is wanted: the command is stopped.
    var isFull: Bool { get }
    /// Tells watchers of what there is so far. Called when there is news, but not too often.
    mutating func report()
    mutating func finish() -> Result
}

/// A program in the sandbox.
struct SandboxedProgram: Sendable {
    /// The program's path first.
    var arguments: [String]
    /// Where it runs, as the sandbox names it.
    var directory = WorkspacePath.mountPoint
    /// Whether it may change the workspace.
    var mayWrite = true

    static func shell(_ command: String) -> SandboxedProgram {
        // One argument for the whole command: only the shell takes it apart.
        SandboxedProgram(arguments: ["/bin/bash", "--noprofile", "--norc", "-c", command])
    }
}

/// One command, from its start to the end of everything that it started.
///
/// It keeps a thread of its own all the time: bubblewrap dies with the thread that spawned it, which is this one or its
/// control group's, and threads of a pool may end at any moment.
struct CommandExecution<Sink: CommandSink & ~Copyable>: Sendable {
    let program: SandboxedProgram
    let timeoutSeconds: Double
    let sandbox: Sandbox
    let workspace: Workspace
    let makeSink: @Sendable () -> Sink
    private let cancellation: EventDescriptor

    struct Outcome: Sendable {
        var end: CommandEnd
        var output: Sink.Result
        /// What the command ran into, as far as the control group knows.
        var events = ControlGroup.Events()
        /// The workspace was full from the start, so that hardly anything could be written.
        var wasFull = false
    }

    init(
        _ program: SandboxedProgram, timeoutSeconds: Double, sandbox: Sandbox, workspace: Workspace,
        makeSink: @escaping @Sendable () -> Sink
    ) throws(SystemError) {
        self.program = program
        self.timeoutSeconds = timeoutSeconds
        self.sandbox = sandbox
        self.workspace = workspace
        self.makeSink = makeSink
        cancellation = try EventDescriptor()
    }

    /// Runs the command. When this returns nothing of it is left; cancelling the task ends it at once.
    func run() async -> Outcome {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                do throws(SystemError) {
                    try SystemThread.start { continuation.resume(returning: execute()) }
                } catch {
                    var nothing = makeSink()
                    continuation.resume(returning: Outcome(end: .failed(error), output: nothing.finish()))
                }
            }
        } onCancel: {
            cancellation.signal()
        }
    }

    private func execute() -> Outcome {
        var output = makeSink()
        do throws(SystemError) {
            let baseline = workspace.quota.baseline()
            guard let groups = sandbox.groups else {
                let end = try execute(&output, in: nil, baseline)
                return Outcome(end: end, output: output.finish(), wasFull: baseline.isFull)
            }
            let group = try groups.take()
            defer { groups.giveBack(group) }
            let before = group.events()
            let end = try execute(&output, in: group, baseline)
            let events = group.events().subtracting(before)
            return Outcome(end: end, output: output.finish(), events: events, wasFull: baseline.isFull)
        } catch {
            return Outcome(end: .failed(error), output: output.finish())
        }
    }

    private func execute(
        _ output: inout Sink, in group: ControlGroup?, _ baseline: WorkspaceQuota.Baseline
    ) throws(SystemError) -> CommandEnd {
        let pipe = try Pipe()
        let files = try Sandbox.Files(sandbox)
        var request = sandbox.request(
            program, workspace: workspace, output: pipe.writing.number, files: files, isGrouped: group != nil,
            timeoutSeconds: Int(timeoutSeconds.rounded(.up)))
        if baseline.isFull { request.limits.fileBytes = workspace.limits.fullWorkspaceFileBytes }
        let child = try spawn(request, in: group)
        // Only the child's own copies may keep the pipes open, or their ends would never come.
        let reading = pipe.closingWritingEnd()
        let information = files.closingChildsEnds()
        var end: CommandEnd?
        do throws(SystemError) {
            end = try watch(child.endDescriptor, reading, &output) { excess(over: baseline, in: group) }
        } catch {
            end = .failed(error)
        }
        // Bubblewrap and the sandbox's first process are in the group; everything else in the sandbox ends with the
        // latter.
        child.killGroup()
        let status = child.reap()
        waitForSandbox(information)
        let left = excess(over: baseline, in: nil)
        if end == nil, let left { end = .overQuota(left) }
        return end ?? .exited(status)
    }

    private func excess(over baseline: WorkspaceQuota.Baseline, in group: ControlGroup?) -> WorkspaceQuota.Excess? {
        guard program.mayWrite else { return nil }
        return workspace.quota.excess(
            over: baseline, in: workspace, processes: { group?.processes ?? [] },
            isStopped: { (try? waitForInput([cancellation.number], milliseconds: 0)[0]) == true })
    }

    private func spawn(_ request: ChildRequest, in group: ControlGroup?) throws(SystemError) -> ChildProcess {
        Measurements.sandboxSpawns.add()
        if let group { return try group.spawn(request) }
        return try ChildProcess.spawn(request)
    }

    /// Reads until the command ends, by itself (nil) or because it has to.
    private func watch(
        _ endDescriptor: Int32, _ reading: borrowing FileDescriptor, _ output: inout Sink,
        excess: () -> WorkspaceQuota.Excess?
    ) throws(SystemError) -> CommandEnd? {
        let deadline = monotonicMilliseconds() + Int(timeoutSeconds * 1000)
        let checkInterval = workspace.limits.quotaIntervalMilliseconds
        var nextCheck = monotonicMilliseconds() + checkInterval
        var nextReport = 0
        var hasNews = false
        var isOpen = true
        while true {
            let now = monotonicMilliseconds()
            if now >= deadline { return .timedOut }
            if now >= nextCheck {
                if let excess = excess() { return .overQuota(excess) }
                nextCheck = monotonicMilliseconds() + checkInterval
            }
            if hasNews, now >= nextReport {
                output.report()
                nextReport = now + workspace.limits.reportIntervalMilliseconds
                hasNews = false
            }
            let wake = min(deadline, nextCheck, hasNews ? nextReport : .max)
            let ready = try waitForInput(
                [cancellation.number, endDescriptor, isOpen ? reading.number : -1], milliseconds: max(0, wake - now))
            if ready[0] { return .aborted }
            if ready[1] { return try drain(reading, &output) }
            if ready[2] {
                isOpen = try readPiece(reading, &output)
                hasNews = isOpen
            }
            if output.isFull { return .full }
        }
    }

    /// Reads what was still under way when the command ended, but does not wait for the pipe's end, which a process
    /// that the command left behind can put off.
    private func drain(
        _ reading: borrowing FileDescriptor, _ output: inout Sink
    ) throws(SystemError) -> CommandEnd? {
        let deadline = monotonicMilliseconds() + workspace.limits.outputGraceMilliseconds
        while true {
            let ready = try waitForInput([reading.number], milliseconds: deadline - monotonicMilliseconds())
            guard ready[0], try readPiece(reading, &output), monotonicMilliseconds() < deadline else { return nil }
            if output.isFull { return .full }
        }
    }

    /// False at the end of the pipe. Blocks unless there is something.
    private func readPiece(
        _ reading: borrowing FileDescriptor, _ output: inout Sink
    ) throws(SystemError) -> Bool {
        let bytes = try reading.read(atMost: 65_536)
        output.append(bytes)
        return !bytes.isEmpty
    }

    /// Waits until the sandbox's first process is gone, which the kernel lets go only after all others in there. By
    /// then it has been killed, so this takes no time worth mentioning.
    private func waitForSandbox(_ information: borrowing FileDescriptor) {
        guard let process = Sandbox.firstProcess(information) else { return }
        waitForEnd(ofOrphan: process, milliseconds: 1000)
    }
}

extension Sandbox {
    /// Which process bubblewrap says is the sandbox's first; nil if it has not come so far.
    static func firstProcess(_ information: borrowing FileDescriptor) -> Int32? {
        guard let isReady = try? waitForInput([information.number], milliseconds: 0)[0], isReady,
            let bytes = try? information.read(atMost: 4096), let value = try? JSONValue(parsing: bytes)
        else { return nil }
        return value["child-pid"]?.integer.map { Int32(clamping: $0) }
    }
}
