internal import Glibc
internal import TauCore
internal import TauSystem

/// The directory that one session's tools see. Every path is resolved by the kernel beneath it.
///
/// The calls block; they run on the threads for that, through `perform` and `change`.
final class Workspace: Sendable {
    let directory: Directory
    /// Its path on the server, which only the server chooses.
    let hostPath: String
    /// Who owns what is made here; nil where the server is not root and everything is its own.
    let owner: ChildRequest.Identity?
    let limits: ToolLimits
    let protected: ProtectedNames.Matcher
    let quota: WorkspaceQuota
    let measure: WorkspaceMeasure
    /// Lies on the disk that is to keep some room.
    let root: Directory
    private let threads: BlockingThreads
    /// One change at a time, so that calls of one batch on the same file do not undo each other.
    private let changes = FairQueue<Int>(places: 1, maxWaiting: 1024)

    init(
        _ opened: WorkspaceRoot.OpenWorkspace, owner: ChildRequest.Identity?, limits: ToolLimits,
        protected: ProtectedNames.Matcher, quota: WorkspaceQuota, threads: BlockingThreads
    ) {
        directory = opened.directory
        hostPath = opened.path
        measure = opened.measure
        root = opened.root
        self.owner = owner
        self.limits = limits
        self.protected = protected
        self.quota = quota
        self.threads = threads
    }

    /// The workspace of that name, made if it does not exist. Without a quota to share it has one of its own.
    static func open(
        _ name: String, in root: WorkspaceRoot, limits: ToolLimits, protected: ProtectedNames.Matcher,
        quota: WorkspaceQuota? = nil, threads: BlockingThreads
    ) async throws(SystemError) -> Workspace {
        let opened = try await threads.run { () throws(SystemError) in try root.open(name) }
        return Workspace(
            opened, owner: root.owner, limits: limits, protected: protected,
            quota: quota ?? WorkspaceQuota(limits: limits), threads: threads)
    }

    /// Runs work that only reads.
    func perform<Value: Sendable>(
        _ body: @escaping @Sendable () throws(ToolFailure) -> Value
    ) async throws(ToolFailure) -> Value {
        guard !Task.isCancelled else { throw .aborted }
        return try await threads.run(body)
    }

    /// Runs work that changes files. Once begun it is finished, even if the caller is cancelled.
    func change<Value: Sendable>(
        _ body: @escaping @Sendable () throws(ToolFailure) -> Value
    ) async throws(ToolFailure) -> Value {
        try await changes.enterForTool(0)
        defer { changes.leave() }
        return try await threads.run(body)
    }

    /// See `BlockingThreads.concurrently`.
    func concurrently<Value: Sendable>(_ count: Int, _ body: @escaping @Sendable (Int) -> Value?) -> [Value] {
        threads.concurrently(count, body)
    }

    // MARK: Reading

    /// A file's bytes and what tells this version of it from others.
    struct Content: Sendable {
        var bytes: [UInt8]
        var status: FileStatus
    }

    /// Reads a regular file of at most `limit` bytes.
    func read(_ path: WorkspacePath, limit: Int) throws(ToolFailure) -> Content {
        let content = try withFile(path) { file, status throws(SystemError) in
            try file.readAll(limit: limit).map { Content(bytes: $0, status: status) }
        }
        guard let content else { throw Self.tooLarge(path, limit: limit) }
        return content
    }

    /// The first bytes of a regular file, whose size does not matter, and its status.
    func head(of path: WorkspacePath, bytes count: Int) throws(ToolFailure) -> Content {
        try withFile(path) { file, status throws(SystemError) in
            // Room for what it claims to hold, and one byte that tells whether that is true.
            let size = Int(clamping: status.size)
            return Content(bytes: try file.read(atMost: size < count ? size + 1 : count), status: status)
        }
    }

    /// Throws unless the path is that of a regular file that may be read.
    func checkFile(_ path: WorkspacePath) throws(ToolFailure) { try withFile(path) { _, _ throws(SystemError) in } }

    /// Opens a regular file that may be read, for as long as `body` runs.
    private func withFile<Value>(
        _ path: WorkspacePath, _ body: (borrowing FileDescriptor, FileStatus) throws(SystemError) -> Value
    ) throws(ToolFailure) -> Value {
        try checkReading(path)
        let opened: OpenFile
        do throws(SystemError) {
            opened = try OpenFile(directory.openFile(path.bytes, links: .followedBeneath))
        } catch {
            throw ToolFailure(error, path: path)
        }
        try checkOpened(opened.file, path, status: opened.status)
        do throws(SystemError) {
            return try body(opened.file, opened.status)
        } catch {
            throw ToolFailure(error, path: path)
        }
    }

    private struct OpenFile: ~Copyable {
        let file: FileDescriptor
        let status: FileStatus

        /// Throws for what is not a regular file.
        init(_ file: consuming FileDescriptor) throws(SystemError) {
            let status = try file.status()
            switch status.kind {
            case .regular: break
            case .directory: throw SystemError(call: "read", code: EISDIR)
            default: throw SystemError(call: "read", code: ENXIO)
            }
            self.file = file
            self.status = status
        }
    }

    static func tooLarge(_ path: WorkspacePath, limit: Int) -> ToolFailure {
        ToolFailure(
            .tooLarge,
            """
            \(path.text) is larger than \(ByteCount.text(limit)), the limit here; use bash (head, sed) on parts of it
            """)
    }

    // MARK: Writing

    /// Makes the file, or replaces it in one step; missing directories are made. Links on the way are refused, one in
    /// the file's own place is replaced and not followed.
    ///
    /// With `expected`, the file must still be that version; otherwise somebody else's change would be lost.
    func write(_ path: WorkspacePath, _ bytes: [UInt8], replacing expected: FileStatus? = nil) throws(ToolFailure) {
        guard bytes.count <= limits.maxWriteBytes else {
            throw ToolFailure(.tooLarge, "The content is larger than \(ByteCount.text(limits.maxWriteBytes))")
        }
        guard let (components, name) = path.directoryAndName else {
            throw ToolFailure(.invalidArguments, "\(path.text) does not name a file")
        }
        try checkWriting(path.components, path)
        try quota.admit(bytes: bytes.count, in: self)
        do throws(SystemError) {
            let parent = try makeDirectories(components)
            guard let place = self.components(of: parent.descriptor) else {
                throw SystemError(call: "write", code: EXDEV)
            }
            guard !protected.isProtectedFromWriting(place + [name]) else { throw Self.isProtected }
            try replace(name, in: parent, with: bytes, replacing: expected)
        } catch {
            switch error {
            case Self.changedMeanwhile:
                throw ToolFailure(.failed, "\(path.text) was changed by something else meanwhile; read it again")
            case Self.hasOtherNames:
                throw ToolFailure(
                    .denied, "\(path.text) has other names (hard links) and is not written; copy it first")
            case Self.isProtected: throw Self.protectedFromWriting(path)
            default: throw ToolFailure(error, path: path)
            }
        }
    }

    private static let changedMeanwhile = SystemError(call: "replace", code: ESTALE)
    private static let hasOtherNames = SystemError(call: "replace", code: EMLINK)
    private static let isProtected = SystemError(call: "replace", code: EACCES)

    private func replace(
        _ name: [UInt8], in parent: Directory, with bytes: [UInt8], replacing expected: FileStatus?
    ) throws(SystemError) {
        var mode: UInt32 = 0o644
        if let old = try parent.statusIfPresent(of: name) {
            switch old.kind {
            case .regular:
                guard old.linkCount == 1 else { throw Self.hasOtherNames }
                mode = old.permissions & 0o777
            case .symbolicLink: break
            case .directory: throw SystemError(call: "replace", code: EISDIR)
            case .special: throw SystemError(call: "replace", code: ENXIO)
            }
        }
        let temporary = Array(".tau-\(String(UInt64.random(in: .min ... .max), radix: 16)).tmp".utf8)
        let file = try parent.createFile(temporary, mode: 0o600)
        do throws(SystemError) {
            try file.write(bytes)
            if let owner { try file.changeOwner(user: owner.userID, group: owner.groupID) }
            try file.changeMode(to: mode)
            try file.synchronize()
            if let expected, try parent.statusIfPresent(of: name) != expected { throw Self.changedMeanwhile }
            try parent.rename(temporary, to: name)
        } catch {
            try? parent.removeFile(temporary)
            throw error
        }
        try parent.descriptor.synchronize()
    }

    /// Opens a directory, and makes what is missing of it.
    func makeDirectories(_ components: [[UInt8]]) throws(SystemError) -> Directory {
        var current = directory
        for count in components.indices.map({ $0 + 1 }) {
            // From the workspace itself each time: only from there does the kernel know when ".." has gone too far.
            let path = Array(components[..<count].joined(separator: [UInt8(ascii: "/")]))
            do throws(SystemError) {
                current = try directory.openDirectory(path, links: .refused)
            } catch  where error.code == ENOENT {
                current = try makeDirectory(components[count - 1], in: current, path: path)
            }
        }
        return current
    }

    private func makeDirectory(
        _ name: [UInt8], in parent: Directory, path: [UInt8]
    ) throws(SystemError) -> Directory {
        do throws(SystemError) {
            try parent.makeDirectory(name, mode: 0o755)
        } catch  where error.code == EEXIST {
            // Made by a command at the same moment.
            return try directory.openDirectory(path, links: .refused)
        }
        let made = try directory.openDirectory(path, links: .refused)
        if let owner { try made.descriptor.changeOwner(user: owner.userID, group: owner.groupID) }
        return made
    }
}

extension Directory {
    /// nil if nothing has that name.
    fileprivate func statusIfPresent(of name: [UInt8]) throws(SystemError) -> FileStatus? {
        do throws(SystemError) {
            return try status(of: name)
        } catch  where error.code == ENOENT {
            return nil
        }
    }
}

extension ToolFailure {
    /// A failure to use a file, in words for the model, which never name a path of the server's.
    init(_ error: SystemError, path: WorkspacePath) {
        let name = path.text
        switch error.code {
        case ENOENT: self.init(.failed, "File not found: \(name)")
        case EXDEV: self.init(.denied, "\(name) leads outside the workspace")
        case ELOOP: self.init(.denied, "\(name) leads through a symbolic link that cannot be used here")
        case EISDIR: self.init(.failed, "\(name) is a directory")
        case ENOTDIR: self.init(.failed, "A part of \(name) is not a directory")
        case ENXIO, ENODEV: self.init(.failed, "\(name) is not a regular file")
        default: self.init(.failed, "Cannot use \(name): \(error.reason)")
        }
    }
}
