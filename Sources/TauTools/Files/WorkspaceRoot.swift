internal import Glibc
internal import TauCore
internal import TauSystem

/// The directory that holds the sessions' workspaces.
///
/// A workspace's quota belongs here too: where the file system has one it is set when the workspace is made.
struct WorkspaceRoot: Sendable {
    private let directory: Directory
    private let path: String
    /// Who owns the workspaces; nil where the server is not root.
    let owner: ChildRequest.Identity?

    /// Makes the directory if need be. Blocks.
    init(path: String, owner: ChildRequest.Identity?) throws(SystemError) {
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
    }

    /// The directory of that name, made if it does not exist. Blocks.
    func open(_ name: String) throws(SystemError) -> (directory: Directory, path: String) {
        let bytes = Array(name.utf8)
        var isNew = true
        do throws(SystemError) {
            try directory.makeDirectory(bytes, mode: 0o700)
        } catch  where error.code == EEXIST {
            isNew = false
        }
        let workspace = try directory.openDirectory(bytes, links: .refused)
        let status = try workspace.descriptor.status()
        if let owner, isNew || status.userID != owner.userID {
            try workspace.descriptor.changeOwner(user: owner.userID, group: owner.groupID)
        }
        return (workspace, path + "/" + name)
    }

    /// Removes the directory of that name with all that is in it. Blocks.
    func remove(_ name: String) throws(SystemError) {
        let bytes = Array(name.utf8)
        do throws(SystemError) {
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
