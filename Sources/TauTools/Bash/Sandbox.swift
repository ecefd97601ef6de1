internal import Glibc
internal import TauCore
internal import TauSystem

/// How commands are confined: by bubblewrap, with an allow list of what they see.
///
/// A seccomp filter and control groups are not part of it yet; both will join the command line and the launch here.
struct Sandbox: Sendable {
    /// Where bubblewrap is.
    let program: String
    /// Whom it runs as. Under user id 0 bubblewrap leaves parts of /proc/sys writable, so it never does.
    let identity: ChildRequest.Identity?
    /// Where the workspace appears to bubblewrap, which as another user could not pass through the directories above
    /// the workspace. nil where the server is not root: bubblewrap then uses the workspace's own path.
    let bindTarget: String?
    let limits: ToolLimits

    /// Where bubblewrap may be. The server's PATH is not asked: it is not a place for decisions about safety.
    private static let programs = ["/usr/bin/bwrap", "/usr/local/bin/bwrap"]
    /// Directories of the system that are empty or not needed, and that every user may pass through.
    private static let bindTargets = ["/mnt", "/srv", "/opt", "/media"]

    init(identity: ChildRequest.Identity?, limits: ToolLimits, programs: [String]? = nil) throws(ToolFailure) {
        guard let program = (programs ?? Self.programs).first(where: { access($0, X_OK) == 0 }) else {
            throw ToolFailure(.unavailable, "bubblewrap (bwrap) is not installed")
        }
        self.program = program
        self.identity = identity
        self.limits = limits
        guard identity != nil else {
            bindTarget = nil
            return
        }
        bindTarget = Self.bindTargets.first { target in
            var status = stat()
            return lstat(target, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR && status.st_mode & 0o001 != 0
        }
        if bindTarget == nil {
            throw ToolFailure(.unavailable, "None of \(Self.bindTargets) is a directory that can be bound to")
        }
    }

    // MARK: The child

    /// The child that runs a shell command in the workspace. Its files are the caller's to keep open until it is
    /// spawned.
    func request(
        command: String, workspace: Workspace, output: Int32, files: borrowing Files, timeoutSeconds: Int
    ) -> ChildRequest {
        let source = bindTarget ?? workspace.hostPath
        var request = ChildRequest(
            executable: program, arguments: arguments(source: source, command: command), environment: [],
            output: output)
        request.inherited = [files.users.number, files.groups.number, files.information.writing.number]
        request.binding = bindTarget.map { .init(directory: workspace.directory.descriptor.number, target: $0) }
        request.identity = identity
        request.limits.openFiles = limits.maxOpenFiles
        request.limits.fileBytes = limits.maxFileBytes
        request.limits.lockedBytes = limits.maxLockedBytes
        request.limits.processorSeconds = timeoutSeconds * 2
        // Where commands share the server's user, its other processes would count too.
        request.limits.processes = identity == nil ? nil : limits.maxProcesses
        return request
    }

    /// What bubblewrap reads and writes beside the command's output.
    struct Files: ~Copyable {
        let users: FileDescriptor
        let groups: FileDescriptor
        /// Bubblewrap tells here which process is the sandbox's first.
        let information: Pipe

        init() throws(SystemError) {
            let users = try memoryFile(
                Array("root:x:0:0:root:/:/bin/sh\nagent:x:1000:1000:agent:/workspace:/bin/bash\n".utf8))
            let groups = try memoryFile(Array("root:x:0:\nagent:x:1000:\n".utf8))
            let information = try Pipe()
            self.users = users
            self.groups = groups
            self.information = information
        }

        /// Closes everything but the end from which the information is read, once the child has its own copies.
        consuming func closingChildsEnds() -> FileDescriptor { information.closingWritingEnd() }
    }

    /// The numbers that the inherited files get in the child.
    private enum Descriptor {
        static let users = "3"
        static let groups = "4"
        static let information = "5"
    }

    func arguments(source: String, command: String) -> [String] {
        let namespaces = [
            "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try",
            "--unshare-net", "--disable-userns", "--die-with-parent", "--new-session", "--uid", "1000", "--gid", "1000",
            "--hostname", "sandbox", "--cap-drop", "ALL", "--info-fd", Descriptor.information,
        ]
        let environment = [
            "--clearenv", "--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin", "--setenv", "HOME", "/workspace",
            "--setenv", "LANG", "C.UTF-8", "--setenv", "TERM", "dumb", "--setenv", "TMPDIR", "/tmp",
        ]
        let system = [
            "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib",
            "--symlink", "usr/lib64", "/lib64", "--symlink", "usr/sbin", "/sbin",
            "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache",
            "--ro-bind-try", "/etc/alternatives", "/etc/alternatives",
            "--ro-bind-try", "/etc/ssl/certs", "/etc/ssl/certs",
            "--ro-bind-data", Descriptor.users, "/etc/passwd", "--ro-bind-data", Descriptor.groups, "/etc/group",
        ]
        // The kernel's command line can hold secrets of the machine. /dev and / are file systems in memory without a
        // bound, hence read-only once they are set up.
        let devices = [
            "--proc", "/proc", "--dev", "/dev", "--size", String(limits.sharedMemoryBytes), "--tmpfs", "/dev/shm",
            "--size", String(limits.temporaryBytes), "--tmpfs", "/tmp", "--ro-bind", "/dev/null", "/proc/cmdline",
            "--bind", source, WorkspacePath.mountPoint, "--chdir", WorkspacePath.mountPoint,
            "--remount-ro", "/dev", "--remount-ro", "/",
        ]
        // One argument for the whole command: only the shell takes it apart.
        return namespaces + environment + system + devices
            + ["--", "/bin/bash", "--noprofile", "--norc", "-c", command]
    }
}
