internal import Glibc
internal import Synchronization
internal import TauCore
internal import TauSystem

/// What lies below workspaces, and with it, who keeps their quota.
package enum WorkspaceVolume: String, Sendable, CaseIterable {
    /// A directory of the disk. Where its file system has project quotas the kernel bounds it; otherwise Tau measures it.
    case directory
    /// A file system in memory, which a restart of the machine empties. Needs root.
    case tmpfs
    /// An ext4 file system of its own in a file beside the workspaces. Needs root, mkfs.ext4 and mount.
    case loopback
}

/// How it is known what a workspace holds.
enum WorkspaceMeasure: Sendable, Hashable {
    /// By going through it.
    case walk
    /// The kernel counts it as a project and bounds it.
    case project(UInt32)
    /// It is all that its file system holds, and that has a size.
    case fileSystem
}

/// Sets up what bounds the workspaces of one root. Calls block.
final class WorkspaceVolumes: Sendable {
    let kind: WorkspaceVolume
    private let path: String
    private let owner: ChildRequest.Identity?
    private let bound: DiskUsage
    private let hasProjects: Bool
    /// One at a time, so that nothing is mounted twice.
    private let mounting = Mutex(())

    /// Throws ENOTSUP for what only root can set up.
    init(
        _ kind: WorkspaceVolume, path: String, directory: Directory, owner: ChildRequest.Identity?, bound: DiskUsage
    ) throws(SystemError) {
        guard kind == .directory || owner != nil else {
            throw SystemError(call: "workspace.volume \(kind.rawValue), which needs root", code: ENOTSUP)
        }
        self.kind = kind
        self.path = path
        self.owner = owner
        self.bound = bound
        hasProjects = kind == .directory && owner != nil && directory.hasProjectQuota
    }

    /// Whether the kernel keeps the quotas.
    var enforces: Bool { kind != .directory || hasProjects }

    /// Bounds the workspace of that name, whose directory exists, if it is not yet, and opens it.
    func open(_ name: String, in root: Directory) throws(SystemError) -> (
        directory: Directory, measure: WorkspaceMeasure
    ) {
        if kind == .directory {
            let directory = try root.openDirectory(Array(name.utf8), links: .refused)
            guard hasProjects, let project = try directory.makeProject(bound: bound) else { return (directory, .walk) }
            return (directory, .project(project))
        }
        let directory = try mounting.withLock { _ throws(SystemError) in
            // Only the server can put anything in the root, so its own path is safe to follow.
            let directory = try Directory(path: mountPoint(name))
            guard try directory.descriptor.status().device == root.descriptor.status().device else { return directory }
            try mount(name)
            return try Directory(path: mountPoint(name))
        }
        return (directory, .fileSystem)
    }

    /// Takes away what bounds the workspace, and with it what it holds. The directory stays, empty.
    func remove(_ name: String, in root: Directory) throws(SystemError) {
        try mounting.withLock { _ throws(SystemError) in
            // Commands that still run keep it for themselves until they end.
            if umount2(mountPoint(name), Int32(MNT_DETACH)) != 0, errno != EINVAL, errno != ENOENT {
                throw .last("umount")
            }
            if unlink(image(name)) != 0, errno != ENOENT { throw .last("unlink") }
        }
    }

    private func mountPoint(_ name: String) -> String { path + "/" + name }
    private func image(_ name: String) -> String { path + "/.volumes/" + name + ".ext4" }

    private func mount(_ name: String) throws(SystemError) {
        let identity = owner ?? ChildRequest.Identity(userID: 0, groupID: 0)
        switch kind {
        case .directory: break
        case .tmpfs:
            let options =
                "size=\(bound.bytes),nr_inodes=\(bound.files),mode=0700,uid=\(identity.userID),gid=\(identity.groupID)"
            let flags = UInt(MS_NOSUID) | UInt(MS_NODEV)
            guard Glibc.mount("tau", mountPoint(name), "tmpfs", flags, options) == 0 else { throw .last("mount") }
        case .loopback:
            try Directory.make(path + "/.volumes")
            if access(image(name), F_OK) != 0 { try makeImage(image(name), owner: identity) }
            try Self.run("mount", ["-o", "loop,nosuid,nodev", image(name), mountPoint(name)])
            // Of ext4's own, and empty.
            _ = rmdir(mountPoint(name) + "/lost+found")
        }
    }

    private func makeImage(_ image: String, owner: ChildRequest.Identity) throws(SystemError) {
        // What is not whole yet has another name.
        let unfinished = image + ".new"
        let number = Glibc.open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard number >= 0 else { throw .last("open") }
        let file = FileDescriptor(adopting: number)
        guard ftruncate(file.number, off_t(bound.bytes)) == 0 else { throw .last("ftruncate") }
        // A file takes up a block of 4 KiB at least, so more of them have no room anyway.
        let files = min(bound.files, Int(bound.bytes / 4096))
        try Self.run(
            "mkfs.ext4",
            [
                "-q", "-F", "-m", "0", "-N", String(max(16, files)), "-E",
                "root_owner=\(owner.userID):\(owner.groupID)", unfinished,
            ])
        guard rename(unfinished, image) == 0 else { throw .last("rename") }
    }

    /// Runs a program of the system to its end, as root. What it says is part of the error.
    private static func run(_ program: String, _ arguments: [String]) throws(SystemError) {
        let places = ["/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/"].map { $0 + program }
        guard let executable = places.first(where: { access($0, X_OK) == 0 }) else {
            throw SystemError(call: program, code: ENOENT)
        }
        let pipe = try Pipe()
        let request = ChildRequest(
            executable: executable, arguments: arguments, environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
            output: pipe.writing.number)
        let child = try ChildProcess.spawn(request)
        let said = try pipe.closingWritingEnd().readAll(limit: 4096) ?? []
        child.killGroup()
        guard child.reap() == .code(0) else {
            let text = String(decoding: said, as: UTF8.self).split(whereSeparator: \.isNewline).joined(separator: " ")
            throw SystemError(call: "\(program) (\(text))", code: EIO)
        }
    }
}
