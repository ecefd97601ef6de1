internal import Glibc
internal import TauCore
internal import TauSystem

/// The line with which bubblewrap makes the box.
struct Bubblewrap: Sendable {
    /// Where bubblewrap is.
    let program: String
    let filter: SystemCallFilter
    /// Where the workspace appears to bubblewrap, which as another user could not pass through the directories above
    /// the workspace. nil where the server is not root: bubblewrap then uses the workspace's own path.
    private let bindTarget: String?
    private let limits: ToolLimits

    /// Where bubblewrap may be. The server's PATH is not asked: it is not a place for decisions about safety.
    private static let programs = ["/usr/bin/bwrap", "/usr/local/bin/bwrap"]
    /// Directories of the system that are empty or not needed, and that every user may pass through.
    private static let bindTargets = ["/mnt", "/srv", "/opt", "/media"]

    init(isRoot: Bool, limits: ToolLimits, programs: [String]? = nil) throws(ToolFailure) {
        guard let program = (programs ?? Self.programs).first(where: { access($0, X_OK) == 0 }) else {
            throw ToolFailure(.unavailable, "bubblewrap (bwrap) is not installed")
        }
        self.program = program
        self.limits = limits
        filter = try SystemCallFilter()
        guard isRoot else {
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

    func request(
        _ program: SandboxedProgram, workspace: Workspace, output: Int32, files: borrowing Sandbox.Files
    ) -> ChildRequest {
        let source = bindTarget ?? workspace.hostPath
        // Bubblewrap's own environment is empty; what the command gets stands in the arguments.
        var request = ChildRequest(
            executable: self.program,
            arguments: arguments(source: source, hidden: workspace.secretFiles(), program), environment: [],
            output: output)
        request.inherited = [
            files.users.number, files.groups.number, files.information.writing.number, files.refusals.number,
            files.knownCalls.number,
        ]
        request.binding = bindTarget.map { .init(directory: workspace.directory.descriptor.number, target: $0) }
        return request
    }

    /// The numbers that the inherited files get in the child.
    private enum Descriptor {
        static let users = "3"
        static let groups = "4"
        static let information = "5"
        static let refusals = "6"
        static let knownCalls = "7"
    }

    private func arguments(source: String, hidden: [Workspace.SecretFile], _ program: SandboxedProgram) -> [String] {
        let namespaces = [
            "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try",
            "--unshare-net", "--disable-userns", "--die-with-parent", "--new-session", "--uid", "1000", "--gid", "1000",
            "--hostname", "sandbox", "--cap-drop", "ALL", "--info-fd", Descriptor.information,
            "--add-seccomp-fd", Descriptor.refusals, "--add-seccomp-fd", Descriptor.knownCalls,
        ]
        let environment = Sandbox.environment(WorkspacePath.mountPoint).flatMap { variable in
            ["--setenv"] + variable.split(separator: "=", maxSplits: 1).map(String.init)
        }
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
            program.mayWrite ? "--bind" : "--ro-bind", source, WorkspacePath.mountPoint, "--chdir", program.directory,
        ]
        let masks = hidden.flatMap { file in
            let path = "\(WorkspacePath.mountPoint)/\(String(decoding: file.path, as: UTF8.self))"
            return file.isDirectory
                ? ["--size", "4096", "--tmpfs", path, "--remount-ro", path] : ["--ro-bind", "/dev/null", path]
        }
        return namespaces + ["--clearenv"] + environment + system + devices + masks
            + ["--remount-ro", "/dev", "--remount-ro", "/", "--"] + program.arguments
    }
}
