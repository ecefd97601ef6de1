internal import Glibc
internal import TauCore
internal import TauSystem

extension Workspace {
    /// A file or directory that no tool may see the content of.
    struct SecretFile: Sendable, Hashable {
        /// Relative to the workspace; valid UTF-8.
        var path: [UInt8]
        var isDirectory: Bool
        var device: UInt64
        var inode: UInt64

        /// Whether a file is this one, whatever name it was found by.
        func isSame(as status: FileStatus) -> Bool { device == status.device && inode == status.inode }
    }

    /// The secret files near the top of the workspace, for hiding them from commands.
    ///
    /// The search is bounded in depth, directories and entries: it happens before every command. What lies deeper is
    /// safe from the file tools, but not from commands; secrets do not belong into a workspace.
    func secretFiles() -> [SecretFile] {
        var found: [SecretFile] = []
        var level: [(components: [[UInt8]], directory: Directory)] = [([], directory)]
        var entries = 0
        for depth in 1...limits.secretSearchDepth {
            var next: [(components: [[UInt8]], directory: Directory)] = []
            for (components, directory) in level {
                guard entries < limits.secretSearchEntries,
                    let names = try? directory.names(limit: limits.secretSearchEntries - entries)
                else { continue }
                entries += names.count
                for name in names {
                    let path = components + [name]
                    if note(path, in: directory, ifSecret: &found) { continue }
                    guard depth < limits.secretSearchDepth, next.count < limits.secretSearchDirectories,
                        Self.isWorthSearching(name),
                        let child = try? directory.openDirectory(name, links: .refused)
                    else { continue }
                    next.append((path, child))
                }
            }
            level = next
        }
        return found
    }

    /// True if it is one, and then it is noted.
    private func note(
        _ components: [[UInt8]], in directory: Directory, ifSecret found: inout [SecretFile]
    ) -> Bool {
        guard found.count < limits.maxSecretFiles, protected.isSecret(components), let name = components.last,
            let status = try? directory.status(of: name), status.kind == .regular || status.kind == .directory
        else { return false }
        let path = Array(components.joined(separator: [UInt8(ascii: "/")]))
        guard String(validating: path, as: UTF8.self) != nil else { return false }
        found.append(
            SecretFile(
                path: path, isDirectory: status.kind == .directory, device: status.device, inode: status.inode))
        return true
    }

    /// Directories that hold thousands of other people's files.
    private static func isWorthSearching(_ name: [UInt8]) -> Bool {
        ![Array(".git".utf8), Array("node_modules".utf8), Array(".tau".utf8)].contains(name)
    }

    /// Refuses paths whose names say that they are secret.
    func checkReading(_ path: WorkspacePath) throws(ToolFailure) {
        if protected.isSecret(path.components) { throw Self.secret(path) }
    }

    func checkWriting(_ components: [[UInt8]], _ path: WorkspacePath) throws(ToolFailure) {
        if protected.isProtectedFromWriting(components) { throw Self.protectedFromWriting(path) }
    }

    /// Looks once more at what was opened: links and other names of a file may lead where its path does not say.
    func checkOpened(
        _ file: borrowing FileDescriptor, _ path: WorkspacePath, status: FileStatus? = nil
    ) throws(ToolFailure) {
        guard let components = components(of: file) else {
            throw ToolFailure(.denied, "\(path.text) leads outside the workspace")
        }
        if protected.isSecret(components) { throw Self.secret(path) }
        guard let status, status.linkCount > 1 else { return }
        if secretFiles().contains(where: { $0.isSame(as: status) }) { throw Self.secret(path) }
    }

    /// Where in the workspace something open is now; nil if it is not in it.
    func components(of file: borrowing FileDescriptor) -> [[UInt8]]? {
        guard let root = directory.descriptor.currentPath(), let actual = file.currentPath() else { return nil }
        if actual == root { return [] }
        let prefix = root + [UInt8(ascii: "/")]
        guard actual.starts(with: prefix) else { return nil }
        return actual.dropFirst(prefix.count).split(separator: UInt8(ascii: "/")).map(Array.init)
    }

    private static func secret(_ path: WorkspacePath) -> ToolFailure {
        ToolFailure(.denied, "\(path.text) is protected: files of that name tend to hold secrets and are not read")
    }

    static func protectedFromWriting(_ path: WorkspacePath) -> ToolFailure {
        ToolFailure(.denied, "\(path.text) is protected: files of that name may not be written")
    }
}
