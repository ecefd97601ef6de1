internal import Glibc
internal import TauCore
internal import TauSystem

/// How commands are confined.
///
/// Bubblewrap makes the box: namespaces of its own for everything, an allow list of what is seen, no capabilities, two
/// seccomp programs. Around it stand resource limits and a control group.
struct Sandbox: Sendable {
    /// nil where the configuration says that there is none.
    let bubblewrap: Bubblewrap?
    /// Whom commands run as outside of the box; nil where the server is not root and they are its own user.
    let identity: ChildRequest.Identity?
    /// nil where the machine gives the server none.
    let groups: ControlGroups?
    /// Why there are none.
    let groupsMissing: String?
    let limits: ToolLimits

    /// Finds the parts. Throws `unavailable` if one that is needed is missing.
    init(
        confinement: ToolsConfiguration.Confinement, identity: ChildRequest.Identity?, limits: ToolLimits,
        programs: [String]? = nil
    ) throws(ToolFailure) {
        self.identity = identity
        self.limits = limits
        bubblewrap =
            confinement == .none
            ? nil : try Bubblewrap(isRoot: identity != nil, limits: limits, programs: programs)
        (groups, groupsMissing) = Self.makeGroups(limits)
    }

    /// The same box with other limits around it.
    func limited(to limits: ToolLimits) -> Sandbox { Sandbox(self, limits: limits) }

    private init(_ other: Sandbox, limits: ToolLimits) {
        bubblewrap = other.bubblewrap
        identity = other.identity
        self.limits = limits
        (groups, groupsMissing) = Self.makeGroups(limits)
    }

    private static func makeGroups(_ limits: ToolLimits) -> (groups: ControlGroups?, missing: String?) {
        do throws(ToolFailure) {
            return (try ControlGroups(limits: limits.controlGroup), nil)
        } catch {
            return (nil, error.message)
        }
    }

    /// How commands name the workspace.
    var workspacePath: String { bubblewrap == nil ? "." : WorkspacePath.mountPoint }

    /// What a person should know who looks at the tool; nil if everything is as it should be.
    var note: String? {
        var notes: [String] = []
        if bubblewrap == nil { notes.append("commands are not confined (tools.sandbox is none)") }
        if let groupsMissing {
            notes.append("memory and processes are bounded for each process only, because \(groupsMissing)")
        }
        return notes.isEmpty ? nil : notes.joined(separator: "; ")
    }

    /// The child that runs a program in the workspace. Its files are the caller's to keep open until it is
    /// spawned.
    func request(
        _ program: SandboxedProgram, workspace: Workspace, output: Int32, files: borrowing Files, isGrouped: Bool,
        timeoutSeconds: Int
    ) -> ChildRequest {
        var request: ChildRequest
        if let bubblewrap {
            request = bubblewrap.request(program, workspace: workspace, output: output, files: files)
        } else {
            request = ChildRequest(
                executable: program.arguments[0], arguments: Array(program.arguments.dropFirst()),
                environment: Self.environment("."), output: output)
            request.directory = workspace.directory.descriptor.number
        }
        request.identity = identity
        request.limits.openFiles = limits.maxOpenFiles
        request.limits.fileBytes = limits.maxFileBytes
        request.limits.lockedBytes = limits.maxLockedBytes
        request.limits.processorSeconds = timeoutSeconds * 2
        if !isGrouped {
            // Where commands share the server's user, its other processes would count too.
            request.limits.processes = identity == nil ? nil : limits.maxProcesses
            request.limits.dataBytes = limits.maxCommandMemoryBytes
        }
        return request
    }

    /// What bubblewrap reads and writes beside the command's output.
    struct Files: ~Copyable {
        let users: FileDescriptor
        let groups: FileDescriptor
        let refusals: FileDescriptor
        let knownCalls: FileDescriptor
        /// Bubblewrap tells here which process is the sandbox's first.
        let information: Pipe

        init(_ sandbox: Sandbox) throws(SystemError) {
            let filter = sandbox.bubblewrap?.filter
            let users = try memoryFile(
                Array("root:x:0:0:root:/:/bin/sh\nagent:x:1000:1000:agent:/workspace:/bin/bash\n".utf8))
            let groups = try memoryFile(Array("root:x:0:\nagent:x:1000:\n".utf8))
            let refusals = try memoryFile(filter?.refusals ?? [])
            let knownCalls = try memoryFile(filter?.knownCalls ?? [])
            let information = try Pipe()
            self.users = users
            self.groups = groups
            self.refusals = refusals
            self.knownCalls = knownCalls
            self.information = information
        }

        /// Closes everything but the end from which the information is read, once the child has its own copies.
        consuming func closingChildsEnds() -> FileDescriptor { information.closingWritingEnd() }
    }

    /// The whole environment of a command.
    static func environment(_ home: String) -> [String] {
        ["PATH=/usr/local/bin:/usr/bin:/bin", "HOME=\(home)", "LANG=C.UTF-8", "TERM=dumb", "TMPDIR=/tmp"]
    }
}
