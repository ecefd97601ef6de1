internal import CTauSystem
internal import Glibc

/// An open file descriptor with one owner, whose end closes it: never twice, never not at all.
///
/// All calls may block, except on descriptors that were opened not to.
package struct FileDescriptor: ~Copyable, Sendable {
    /// Valid for as long as this owner lives.
    package let number: Int32

    /// Takes over a descriptor that nobody else will close.
    package init(adopting number: Int32) { self.number = number }

    deinit { _ = Glibc.close(number) }

    /// Up to `count` bytes from where the last read ended; none at the end of the file.
    package func read(atMost count: Int) throws(SystemError) -> [UInt8] {
        var failure: SystemError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            do throws(SystemError) {
                filled = try retryingInterrupts("read") { Glibc.read(number, buffer.baseAddress, count) }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Everything up to the end of the file; nil if that is more than `limit` bytes, of which no more than one is read.
    package func readAll(limit: Int) throws(SystemError) -> [UInt8]? {
        let expected = Int(clamping: try status().size)
        guard expected <= limit else { return nil }
        // One byte more than the file claims to have: most files then need two calls, and growth is noticed.
        var bytes = try read(atMost: expected + 1)
        while true {
            guard bytes.count <= limit else { return nil }
            let more = try read(atMost: min(limit + 1 - bytes.count, 1 << 20))
            if more.isEmpty { return bytes }
            bytes += more
        }
    }

    /// Writes all the bytes.
    package func write(_ bytes: some Collection<UInt8>) throws(SystemError) {
        var failure: SystemError?
        let contiguous = ContiguousArray(bytes)
        contiguous.withUnsafeBytes { buffer in
            do throws(SystemError) {
                var written = 0
                while written < buffer.count {
                    let rest = UnsafeRawBufferPointer(rebasing: buffer[written...])
                    written += try retryingInterrupts("write") { Glibc.write(number, rest.baseAddress, rest.count) }
                }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    /// Waits until what was written, or a directory's list of names, is on disk.
    package func synchronize() throws(SystemError) {
        _ = try retryingInterrupts("fsync") { fsync(number) }
    }

    /// The permission bits, such as `0o644`.
    package func changeMode(to mode: UInt32) throws(SystemError) {
        guard fchmod(number, mode) == 0 else { throw .last("fchmod") }
    }

    package func changeOwner(user: UInt32, group: UInt32) throws(SystemError) {
        guard fchown(number, user, group) == 0 else { throw .last("fchown") }
    }

    /// Where the kernel says that the open file is now; nil if it cannot say.
    package func currentPath() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/fd/\(number)", &buffer, buffer.count)
        guard count > 0, count < buffer.count else { return nil }
        return Array(buffer[..<count])
    }

    package func status() throws(SystemError) -> FileStatus {
        var value = stat()
        guard fstat(number, &value) == 0 else { throw .last("fstat") }
        return FileStatus(value)
    }
}

/// What the file system knows of a file.
package struct FileStatus: Sendable, Hashable {
    package enum Kind: Sendable {
        case regular, directory, symbolicLink
        /// A FIFO, a socket or a device.
        case special

        init?(directoryType: Int32) {
            switch directoryType {
            case Int32(DT_REG): self = .regular
            case Int32(DT_DIR): self = .directory
            case Int32(DT_LNK): self = .symbolicLink
            case Int32(DT_UNKNOWN): return nil
            default: self = .special
            }
        }
    }

    package let kind: Kind
    /// Bytes.
    package let size: Int64
    /// The permission bits, with set-user-id, set-group-id and sticky.
    package let permissions: UInt32
    package let userID: UInt32
    /// Names of the file.
    package let linkCount: Int
    package let device: UInt64
    package let inode: UInt64
    /// Nanoseconds since 1970 of the last change of the content.
    package let modified: Int64

    init(_ value: stat) {
        kind =
            switch value.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .directory
            case S_IFLNK: .symbolicLink
            default: .special
            }
        size = Int64(value.st_size)
        permissions = UInt32(value.st_mode & 0o7777)
        userID = value.st_uid
        linkCount = Int(value.st_nlink)
        device = UInt64(value.st_dev)
        inode = UInt64(value.st_ino)
        modified = Int64(value.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(value.st_mtim.tv_nsec)
    }
}
