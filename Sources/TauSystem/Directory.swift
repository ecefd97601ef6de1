internal import CTauSystem
internal import Glibc

/// An open directory. Paths below it are opened by the kernel's own rules (openat2), never by comparing strings.
///
/// Paths are bytes without NUL, relative to the directory. A name is one component, checked by the caller to be so.
package final class Directory: Sendable {
    /// How symbolic links on the way are treated. Neither way ever leaves the directory or crosses a mount point.
    package enum LinkRule: Sendable {
        /// Links are followed as long as they stay beneath the directory; magic links of /proc never.
        case followedBeneath
        /// Any link is an error (ELOOP).
        case refused
    }

    /// Open for reading names and for `synchronize`.
    package let descriptor: FileDescriptor

    package init(adopting descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

    /// Opens a directory that the server itself names.
    package convenience init(path: String) throws(SystemError) {
        let number = try retryingInterrupts("open \(path)") { Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        self.init(adopting: FileDescriptor(adopting: number))
    }

    /// Makes a directory that the server itself names, if it does not exist. It may be passed through by others, so that tools reach
    /// what is theirs below it; what is secret in it has its own mode.
    package static func make(_ path: String) throws(SystemError) {
        guard mkdir(path, 0o711) == 0 || errno == EEXIST else { throw .last("mkdir \(path)") }
    }

    // MARK: Opening

    /// Opens for reading. It never waits, not even for a FIFO's writer; the caller must look at the status afterwards.
    package func openFile(_ path: [UInt8], links: LinkRule) throws(SystemError) -> FileDescriptor {
        try open(path, flags: O_RDONLY | O_NONBLOCK | O_NOCTTY, links: links)
    }

    package func openDirectory(_ path: [UInt8], links: LinkRule) throws(SystemError) -> Directory {
        Directory(adopting: try open(path, flags: O_RDONLY | O_DIRECTORY, links: links))
    }

    /// Makes a file that must not exist yet, open for writing.
    package func createFile(_ name: [UInt8], mode: UInt32) throws(SystemError) -> FileDescriptor {
        try open(name, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode, links: .refused)
    }

    private func open(
        _ path: [UInt8], flags: Int32, mode: UInt32 = 0, links: LinkRule
    ) throws(SystemError) -> FileDescriptor {
        let noMagicLinks: UInt64 = 0x02
        let noSymbolicLinks: UInt64 = 0x04
        let noMountCrossing: UInt64 = 0x01
        let beneath: UInt64 = 0x08
        var resolve = beneath | noMagicLinks | noMountCrossing
        if links == .refused { resolve |= noSymbolicLinks }
        let name = Self.terminated(path)
        // The kernel asks to try again when something was renamed during a walk through "..". An attacker can keep that
        // up, so it has a bound.
        for _ in 0..<128 {
            let number = tau_openat2(descriptor.number, name, flags | O_CLOEXEC, mode, resolve)
            if number >= 0 { return FileDescriptor(adopting: number) }
            guard errno == EAGAIN || errno == EINTR else { throw .last("openat2") }
        }
        throw SystemError(call: "openat2", code: EBUSY)
    }

    // MARK: Names

    /// The status of what the name itself stands for: a link's own, not its target's.
    package func status(of name: [UInt8]) throws(SystemError) -> FileStatus {
        var value = stat()
        guard fstatat(descriptor.number, Self.terminated(name), &value, AT_SYMLINK_NOFOLLOW) == 0 else {
            throw .last("fstatat")
        }
        return FileStatus(value)
    }

    package func makeDirectory(_ name: [UInt8], mode: UInt32) throws(SystemError) {
        guard mkdirat(descriptor.number, Self.terminated(name), mode) == 0 else { throw .last("mkdirat") }
    }

    /// Renames within this directory; what had the new name is replaced in one step.
    package func rename(_ old: [UInt8], to new: [UInt8]) throws(SystemError) {
        let number = descriptor.number
        guard renameat(number, Self.terminated(old), number, Self.terminated(new)) == 0 else { throw .last("renameat") }
    }

    /// Exchanges what two names stand for, in one step.
    package func exchange(_ first: [UInt8], with second: [UInt8]) throws(SystemError) {
        guard tau_exchange(descriptor.number, Self.terminated(first), Self.terminated(second)) == 0 else {
            throw .last("renameat2")
        }
    }

    /// Removes a name that is not a directory.
    package func removeFile(_ name: [UInt8]) throws(SystemError) {
        guard unlinkat(descriptor.number, Self.terminated(name), 0) == 0 else { throw .last("unlinkat") }
    }

    /// Removes an empty directory.
    package func removeDirectory(_ name: [UInt8]) throws(SystemError) {
        guard unlinkat(descriptor.number, Self.terminated(name), AT_REMOVEDIR) == 0 else { throw .last("unlinkat") }
    }

    /// Up to `limit` names in the directory, in no order, without `.` and `..`.
    package func names(limit: Int) throws(SystemError) -> [[UInt8]] { try entries(limit: limit).map(\.name) }

    /// A name in a directory and what it stands for; nil where the file system does not say without being asked.
    package struct Entry: Sendable, Hashable {
        package let name: [UInt8]
        package let kind: FileStatus.Kind?
    }

    /// Up to `limit` entries, in no order, without `.` and `..`.
    package func entries(limit: Int) throws(SystemError) -> [Entry] {
        // A fresh description, because reading moves its position. fdopendir takes the number over.
        let number = openat(descriptor.number, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { throw .last("openat") }
        guard let stream = fdopendir(number) else {
            let error = SystemError.last("fdopendir")
            _ = close(number)
            throw error
        }
        defer { closedir(stream) }
        var entries: [Entry] = []
        while entries.count < limit {
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw .last("readdir") }
                break
            }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                Array(
                    bytes.prefix(
                        bytes.baseAddress.map { strnlen($0.assumingMemoryBound(to: CChar.self), bytes.count) } ?? 0))
            }
            guard name != [0x2E] && name != [0x2E, 0x2E] else { continue }
            entries.append(Entry(name: name, kind: FileStatus.Kind(directoryType: Int32(entry.pointee.d_type))))
        }
        return entries
    }

    func rename(_ name: [UInt8], into directory: Directory, as new: [UInt8]) -> Int32 {
        renameat(descriptor.number, Self.terminated(name), directory.descriptor.number, Self.terminated(new))
    }

    /// Gives a directory's owner all rights to it, without following a link. Failure shows at the next use.
    func permitOwner(_ name: [UInt8]) {
        _ = fchmodat(descriptor.number, Self.terminated(name), 0o700, AT_SYMLINK_NOFOLLOW)
    }

    static func terminated(_ path: [UInt8]) -> [CChar] {
        var characters: [CChar] = []
        characters.reserveCapacity(path.count + 1)
        for byte in path { characters.append(CChar(bitPattern: byte)) }
        characters.append(0)
        return characters
    }
}
