internal import Glibc
internal import TauCore
internal import TauSystem

/// The directory that holds the sessions' workspaces.
struct WorkspaceRoot: Sendable {
    private let directory: Directory
    private let path: String
    /// Who owns the workspaces; nil where the server is not root.
    let owner: ChildRequest.Identity?
    private let volumes: WorkspaceVolumes

    /// Makes the directory if need be. Blocks. Throws ENOTSUP if volumes of that kind cannot be had.
    init(
        path: String, owner: ChildRequest.Identity?, volume: WorkspaceVolume = .directory,
        bound: DiskUsage = ToolLimits().workspaceBound
    ) throws(SystemError) {
        try Self.makeDirectories(path)
        directory = try Directory(path: path)
        self.owner = owner
        // Commands run as another user and pass through it, but may not list it.
        if owner != nil { try directory.descriptor.changeMode(to: 0o711) }
        guard let resolved = realpath(path, nil) else {
            throw SystemError(call: "realpath", code: errno)
        }
        defer { free(resolved) }
        self.path = String(cString: resolved)
        volumes = try WorkspaceVolumes(volume, path: self.path, directory: directory, owner: owner, bound: bound)
    }

    /// Who keeps the quotas, for people; nil where it is the kernel.
    var quotaNote: String? {
        volumes.enforces ? nil : "the size of workspaces is measured while commands run, not bounded by the file system"
    }

    /// The directory of that name, made if it does not exist. Blocks.
    func open(_ name: String) throws(SystemError) -> OpenWorkspace {
        let bytes = Array(name.utf8)
        var isNew = true
        do throws(SystemError) {
            try directory.makeDirectory(bytes, mode: 0o700)
        } catch  where error.code == EEXIST {
            isNew = false
        }
        let (workspace, measure) = try volumes.open(name, in: directory)
        let status = try workspace.descriptor.status()
        if let owner, isNew || status.userID != owner.userID {
            try workspace.descriptor.changeOwner(user: owner.userID, group: owner.groupID)
        }
        return OpenWorkspace(directory: workspace, path: path + "/" + name, measure: measure, root: directory)
    }

    struct OpenWorkspace: Sendable {
        var directory: Directory
        /// On the server.
        var path: String
        var measure: WorkspaceMeasure
        /// What it lies in.
        var root: Directory
    }

    /// Removes the directory of that name with all that is in it. Blocks.
    func remove(_ name: String) throws(SystemError) {
        let bytes = Array(name.utf8)
        do throws(SystemError) {
            if volumes.kind != .directory { try volumes.remove(name, in: directory) }
            try directory.openDirectory(bytes, links: .refused).removeContents()
            try directory.removeDirectory(bytes)
        } catch  where error.code == ENOENT {
            // It never had one.
        }
    }

    private static func makeDirectories(_ path: String) throws(SystemError) {
        var prefix = path.utf8.first == UInt8(ascii: "/") ? "/" : ""
        for component in path.utf8.split(separator: UInt8(ascii: "/")) {
            prefix += String(Substring(component))
            if mkdir(prefix, 0o755) != 0, errno != EEXIST { throw SystemError(call: "mkdir \(prefix)", code: errno) }
            prefix += "/"
        }
    }
}
