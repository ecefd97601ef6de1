internal import Glibc
internal import TauCore

/// An open file that is closed with its last reference. The calls block.
final class FileHandle: Sendable {
    let descriptor: Int32

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Gives the lock up, whoever else still has the descriptor: a task that has not quite ended, or a child process
    /// between fork and exec.
    func unlock() { flock(descriptor, LOCK_UN) }

    func readAll() throws(StoreError) -> [UInt8] {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw StoreError.system("fstat") }
        var failure: Int32 = 0
        var content = [UInt8](unsafeUninitializedCapacity: Int(status.st_size)) { buffer, count in
            while count < buffer.count {
                let read = pread(descriptor, buffer.baseAddress.map { $0 + count }, buffer.count - count, off_t(count))
                if read < 0, errno == EINTR { continue }
                if read < 0 { failure = errno }
                if read <= 0 { return }
                count += read
            }
        }
        guard failure == 0 else { throw StoreError.system("read", failure) }
        // The size may have grown since fstat; what a reader without the lock misses is not yet acknowledged to it.
        if content.count > Int(status.st_size) { content.removeLast(content.count - Int(status.st_size)) }
        return content
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(StoreError) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { buffer in
                pwrite(
                    descriptor, buffer.baseAddress.map { $0 + written }, buffer.count - written, off_t(offset + written)
                )
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw StoreError.system("write", count == 0 ? ENOSPC : errno) }
            written += count
        }
    }

    func truncate(to size: Int) throws(StoreError) {
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw StoreError.system("ftruncate") }
        try synchronize()
    }

    /// Returns once data and size are on the disk.
    func synchronize() throws(StoreError) {
        while fdatasync(descriptor) != 0 {
            guard errno == EINTR else { throw StoreError.system("fdatasync") }
        }
    }
}

extension StoreError {
    /// A failed system call, as an error that names the call and the reason but no path.
    static func system(_ call: String, _ code: Int32 = errno) -> StoreError {
        let reason = String(cString: strerror(code))
        return switch code {
        case ENOENT: StoreError(.notFound, "no such session")
        case EEXIST: StoreError(.exists, "the session exists already")
        default: StoreError(.unavailable, "\(call) failed: \(reason)")
        }
    }
}
