internal import CTauSystem
internal import Glibc
internal import Synchronization

/// What a child process is to be.
package struct ChildRequest: Sendable {
    /// The program's absolute path.
    package var executable: String
    /// Without the program's name.
    package var arguments: [String]
    /// `NAME=value`; nothing of the server's own environment is added.
    package var environment: [String]
    /// Becomes standard output and standard error.
    package var output: Int32
    /// Become descriptors 3, 4, … in this order, at most eight. Everything else of the server's is closed in the child.
    package var inherited: [Int32] = []
    /// A directory of control groups version 2 in which the child is born. In version 1 it is born where the thread is.
    package var controlGroup: Int32?
    /// The child's working directory; nil is the root.
    package var directory: Int32?
    /// A directory that appears at a fixed path, in a mount namespace of the child's own. Needs root.
    package var binding: Binding?
    /// Whom to become, with no further groups. Needs root.
    package var identity: Identity?
    package var limits = Limits()

    package struct Binding: Sendable {
        package var directory: Int32
        package var target: String

        package init(directory: Int32, target: String) {
            self.directory = directory
            self.target = target
        }
    }

    package struct Identity: Sendable, Hashable {
        package var userID: UInt32
        package var groupID: UInt32

        package init(userID: UInt32, groupID: UInt32) {
            self.userID = userID
            self.groupID = groupID
        }
    }

    /// Resource limits; nil leaves one as it is. Core dumps are always off.
    package struct Limits: Sendable {
        package var openFiles: Int?
        /// Bytes of one file.
        package var fileBytes: Int?
        package var lockedBytes: Int?
        package var processorSeconds: Int?
        /// Processes and threads of the user, over all children.
        package var processes: Int?
        /// Bytes of private memory that a process may write.
        package var dataBytes: Int?

        package init() {}
    }

    package init(executable: String, arguments: [String], environment: [String], output: Int32) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.output = output
    }
}

/// How a process ended.
package enum ExitStatus: Sendable, Hashable {
    case code(Int32)
    case signal(Int32)

    /// As a shell reports it: the exit code, or 128 and the signal.
    package var shellCode: Int32 {
        switch self {
        case .code(let code): code
        case .signal(let signal): 128 + signal
        }
    }
}

/// A running child in a process group of its own.
///
/// What a child ties to its parent's life (PR_SET_PDEATHSIG) is tied to the *thread* that spawned it.
package struct ChildProcess: ~Copyable, Sendable {
    /// The kernel's number of the child. It may be somebody else's after `reap`.
    package let processID: Int32
    private let descriptor: FileDescriptor

    /// Starts the child; the calling thread waits until it has executed its program.
    package static func spawn(_ request: ChildRequest) throws(SystemError) -> ChildProcess {
        var pidfd: Int32 = -1
        var failure = tau_spawn_failure()
        let process = request.withRaw { tau_spawn(&$0, &pidfd, &failure) }
        guard process >= 0 else {
            let step = failure.step.map { String(cString: $0) } ?? "spawn"
            throw SystemError(call: "\(step) for \(request.executable)", code: failure.error)
        }
        return ChildProcess(processID: process, descriptor: FileDescriptor(adopting: pidfd))
    }

    /// Readable once the child has ended.
    package var endDescriptor: Int32 { descriptor.number }

    /// Sends SIGKILL to the child's whole process group. The group's name is safe from reuse until `reap`.
    package func killGroup() { _ = kill(-processID, SIGKILL) }

    /// Waits for the child and removes it from the process table.
    package consuming func reap() -> ExitStatus {
        var status: Int32 = 0
        while waitpid(processID, &status, 0) < 0, errno == EINTR {}
        let signal = status & 0x7F
        return signal == 0 ? .code((status >> 8) & 0xFF) : .signal(signal)
    }
}

extension WorkerThread {
    /// Starts a child that this thread is the parent of. Blocks.
    package func spawn(_ request: ChildRequest) throws(SystemError) -> ChildProcess {
        let spawned = run {
            Result { () throws(SystemError) in SpawnedChild(try ChildProcess.spawn(request)) }
        }
        return try spawned.get().take()
    }
}

/// A child on its way from one thread to another.
private final class SpawnedChild: Sendable {
    private let child: Mutex<ChildProcess?>

    init(_ child: consuming ChildProcess) { self.child = Mutex(child) }

    func take() -> ChildProcess {
        guard let child = child.withLock({ $0.take() }) else { preconditionFailure("a child is taken once") }
        return child
    }
}

/// Makes this process the parent of its children's orphans, which otherwise fall to the machine's first process and
/// count as running until that one notices. For programs whose only children are `ChildProcess`es.
package func adoptOrphans() { _ = tau_adopt_orphans() }

/// Waits until a child's child has ended, but not longer than the given time.
///
/// Orphans go to the first process of the machine or container. If that is the server, it must also remove them from
/// the process table, as it does here; otherwise every command would leave an entry behind.
package func waitForEnd(ofOrphan process: Int32, milliseconds: Int) {
    let number = tau_pidfd_open(process)
    guard number >= 0 else { return }
    let descriptor = FileDescriptor(adopting: number)
    _ = try? waitForInput([descriptor.number], milliseconds: milliseconds)
    _ = waitpid(process, nil, WNOHANG)
}

extension ChildRequest {
    fileprivate func withRaw<Result>(_ body: (inout tau_spawn_request) -> Result) -> Result {
        var raw = tau_spawn_request()
        raw.output = output
        raw.bind_directory = binding?.directory ?? -1
        raw.drops_privileges = identity == nil ? 0 : 1
        raw.user = identity?.userID ?? 0
        raw.group = identity?.groupID ?? 0
        raw.max_open_files = limits.openFiles.map(UInt64.init) ?? .max
        raw.max_file_bytes = limits.fileBytes.map(UInt64.init) ?? .max
        raw.max_locked_bytes = limits.lockedBytes.map(UInt64.init) ?? .max
        raw.max_cpu_seconds = limits.processorSeconds.map(UInt64.init) ?? .max
        raw.max_processes = limits.processes.map(UInt64.init) ?? .max
        raw.max_data_bytes = limits.dataBytes.map(UInt64.init) ?? .max
        raw.directory = directory ?? -1
        raw.group_directory = controlGroup ?? -1
        precondition(inherited.count <= Int(TAU_SPAWN_MAX_INHERITED), "too many inherited descriptors")
        raw.inherited_count = UInt32(inherited.count)
        withUnsafeMutableBytes(of: &raw.inherited) { $0.copyBytes(from: inherited.withUnsafeBytes(Array.init)) }
        return withCStrings([executable] + arguments) { arguments in
            withCStrings(environment) { environment in
                executable.withCString { executable in
                    (binding?.target ?? "").withCString { target in
                        raw.executable = executable
                        raw.arguments = arguments
                        raw.environment = environment
                        raw.bind_target = target
                        return body(&raw)
                    }
                }
            }
        }
    }
}

/// A NULL-terminated list of C strings that lives as long as `body` runs.
package func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return (copies + [nil]).withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { preconditionFailure("an array of one element has a base") }
        return body(base)
    }
}
