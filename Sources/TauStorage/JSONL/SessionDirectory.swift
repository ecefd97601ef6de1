internal import Glibc
internal import TauCore

/// The directory of session files: names, locks, and changes that survive a crash. The calls block.
final class SessionDirectory: Sendable {
    let handle: FileHandle
    private static let suffix = ".jsonl"

    init(path: String) throws(StoreError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw Self.failure("mkdir", path) }
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure("open", path) }
        handle = FileHandle(descriptor)
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw StoreError.system("fstat") }
        if status.st_mode & 0o077 != 0, fchmod(descriptor, 0o700) != 0 { throw StoreError.system("fchmod") }
    }

    private static func failure(_ call: String, _ path: String) -> StoreError {
        StoreError(.unavailable, "\(call) of \(path) failed: \(String(cString: strerror(errno)))")
    }

    private func name(_ id: SessionID) -> String { id.rawValue + Self.suffix }

    // MARK: Files

    func contains(_ id: SessionID) -> Bool { faccessat(handle.descriptor, name(id), F_OK, AT_SYMLINK_NOFOLLOW) == 0 }

    /// Makes a session's file with its content, locked; it appears whole or not at all.
    func create(_ id: SessionID, content: [UInt8]) throws(StoreError) -> FileHandle {
        let temporary = "\(Self.newPrefix)\(id)-\(UInt64.random(in: .min ... .max))"
        let file = try write(content, to: temporary)
        guard linkat(handle.descriptor, temporary, handle.descriptor, name(id), 0) == 0 else {
            let error = StoreError.system("link")
            unlinkat(handle.descriptor, temporary, 0)
            throw error
        }
        unlinkat(handle.descriptor, temporary, 0)
        try synchronizeDirectory()
        return file
    }

    /// Puts a new content in a session's place; the old file stays beside it as `<id>.jsonl.v<version>`.
    func replace(
        _ id: SessionID, with content: [UInt8], keepingOldAs version: Int
    ) throws(StoreError) -> FileHandle {
        let temporary = "\(Self.newPrefix)\(id)-\(UInt64.random(in: .min ... .max))"
        let file = try write(content, to: temporary)
        let isKept = linkat(handle.descriptor, name(id), handle.descriptor, "\(name(id)).v\(version)", 0) == 0
        guard isKept || errno == EEXIST,
            renameat(handle.descriptor, temporary, handle.descriptor, name(id)) == 0
        else {
            let error = StoreError.system("rename")
            unlinkat(handle.descriptor, temporary, 0)
            throw error
        }
        try synchronizeDirectory()
        return file
    }

    private func write(_ content: [UInt8], to name: String) throws(StoreError) -> FileHandle {
        let descriptor = openat(handle.descriptor, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw StoreError.system("open") }
        let file = FileHandle(descriptor)
        do throws(StoreError) {
            try lock(file)
            try file.write(content, at: 0)
            try file.synchronize()
        } catch {
            unlinkat(handle.descriptor, name, 0)
            throw error
        }
        return file
    }

    func openForReading(_ id: SessionID) throws(StoreError) -> FileHandle {
        let descriptor = openat(handle.descriptor, name(id), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw StoreError.system("open") }
        return FileHandle(descriptor)
    }

    /// Opens a session's file without its lock.
    func openForReplay(_ id: SessionID) throws(StoreError) -> FileHandle {
        let descriptor = openat(handle.descriptor, name(id), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { throw StoreError.system("open") }
        return FileHandle(descriptor)
    }

    /// Opens a session's file and takes its lock; `conflict` if somebody else holds it.
    func openLocked(_ id: SessionID) throws(StoreError) -> FileHandle {
        let descriptor = openat(handle.descriptor, name(id), O_RDWR | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw StoreError.system("open") }
        let file = FileHandle(descriptor)
        try lock(file)
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw StoreError.system("fstat") }
        // Deleted or replaced between opening and locking: then the name is gone, or leads to another file.
        var named = stat()
        guard fstatat(handle.descriptor, name(id), &named, AT_SYMLINK_NOFOLLOW) == 0 else {
            throw StoreError.system("fstatat")
        }
        guard named.st_ino == status.st_ino else {
            throw StoreError(.conflict, "the session is open in another process")
        }
        if status.st_mode & 0o077 != 0, fchmod(descriptor, 0o600) != 0 { throw StoreError.system("fchmod") }
        return file
    }

    private func lock(_ file: FileHandle) throws(StoreError) {
        guard try file.lock() else { throw StoreError(.conflict, "the session is open in another process") }
    }

    func remove(_ id: SessionID) throws(StoreError) {
        guard unlinkat(handle.descriptor, name(id), 0) == 0 else { throw StoreError.system("unlink") }
        for version in 1..<SessionHeader.currentVersion { unlinkat(handle.descriptor, "\(name(id)).v\(version)", 0) }
        try synchronizeDirectory()
    }

    private func synchronizeDirectory() throws(StoreError) {
        guard fsync(handle.descriptor) == 0 else { throw StoreError.system("fsync") }
    }

    // MARK: Listing

    /// What tells whether a file has changed.
    struct Version: Equatable {
        var inode: UInt
        /// Bytes.
        var size: Int
        /// Nanoseconds since 1970.
        var modified: Int

        init(inode: UInt, size: Int, modified: Int) {
            self.inode = inode
            self.size = size
            self.modified = modified
        }

        init(_ status: stat) {
            inode = UInt(status.st_ino)
            size = Int(status.st_size)
            modified = status.st_mtim.tv_sec * 1_000_000_000 + status.st_mtim.tv_nsec
        }
    }

    /// When a name was added or removed last, in nanoseconds since 1970.
    func modified() -> Int {
        var status = stat()
        return fstat(handle.descriptor, &status) == 0 ? Version(status).modified : 0
    }

    /// The sessions that there are, in no order.
    func sessions() throws(StoreError) -> [(id: SessionID, version: Version)] {
        var found: [(id: SessionID, version: Version)] = []
        for name in try handle.names() {
            if name.hasPrefix(Self.newPrefix) { try removeIfAbandoned(name) }
            guard name.hasSuffix(Self.suffix), let id = SessionID(String(name.dropLast(Self.suffix.count))) else {
                continue
            }
            var status = stat()
            guard fstatat(handle.descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0,
                status.st_mode & S_IFMT == S_IFREG
            else { continue }
            found.append((id, Version(status)))
        }
        return found
    }

    /// Removes what a crash left behind before it got its name. Its maker, if it lives, holds its lock.
    private func removeIfAbandoned(_ name: String) throws(StoreError) {
        let descriptor = openat(handle.descriptor, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        let file = FileHandle(descriptor)
        var status = stat()
        // The lock is taken a moment after the file is made.
        guard fstat(descriptor, &status) == 0, status.st_mtim.tv_sec + Self.abandonedSeconds < time(nil),
            try file.lock()
        else { return }
        unlinkat(handle.descriptor, name, 0)
        file.unlock()
    }

    private static let abandonedSeconds = 60
    private static let newPrefix = ".new-"

    /// Really writes, syncs and removes a small file.
    func checkWritable() throws(StoreError) {
        let name = ".health-\(UInt64.random(in: .min ... .max))"
        let file = try write(Array("ok\n".utf8), to: name)
        withExtendedLifetime(file) { _ = unlinkat(handle.descriptor, name, 0) }
    }
}
