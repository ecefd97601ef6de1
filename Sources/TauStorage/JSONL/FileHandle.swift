internal import Glibc
internal import TauCore

/// An open file that is closed with its last reference. The calls block.
final class FileHandle: Sendable {
    let descriptor: Int32

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Takes the file's advisory lock; false if somebody else has it.
    func lock() throws(StoreError) -> Bool {
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno != EINTR else { continue }
            guard errno == EWOULDBLOCK else { throw StoreError.system("flock") }
            return false
        }
        return true
    }

    /// Gives the lock up, whoever else still has the descriptor: a task that has not quite ended, or a child process
    /// between fork and exec.
    func unlock() { flock(descriptor, LOCK_UN) }

    /// The file as long as it is now. What grows meanwhile is not yet acknowledged to a reader without the lock.
    func readAll() throws(StoreError) -> [UInt8] {
        try read(at: 0, atMost: try size())
    }

    func size() throws(StoreError) -> Int { try version().size }

    func version() throws(StoreError) -> SessionDirectory.Version {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw StoreError.system("fstat") }
        return SessionDirectory.Version(status)
    }

    /// Up to `count` bytes from an offset; fewer at the end of the file.
    func read(at offset: Int, atMost count: Int) throws(StoreError) -> [UInt8] {
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let read = pread(
                    descriptor, buffer.baseAddress.map { $0 + filled }, count - filled, off_t(offset + filled))
                if read < 0, errno == EINTR { continue }
                if read < 0 { failure = errno }
                if read <= 0 { return }
                filled += read
            }
        }
        guard failure == 0 else { throw StoreError.system("read", failure) }
        return bytes
    }

    /// The names in a directory, without `.` and `..`, in no order.
    func names() throws(StoreError) -> [String] {
        // A description of its own, because reading moves its position. The stream takes the number over.
        let copy = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0 else { throw StoreError.system("open") }
        guard let stream = fdopendir(copy) else {
            let error = StoreError.system("fdopendir")
            close(copy)
            throw error
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let item = readdir(stream) {
            let name = withUnsafeBytes(of: &item.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// What begins at an offset, up to the next line feed or the end of the file; of a longer line, its beginning.
    func readLine(at offset: Int, limit: Int = SessionFile.Limits().maxLineBytes) throws(StoreError) -> [UInt8] {
        var line: [UInt8] = []
        while line.count < limit {
            let step = try read(at: offset + line.count, atMost: 64 << 10)
            if let feed = step.firstIndex(of: UInt8(ascii: "\n")) { return line + step[..<feed] }
            if step.isEmpty { break }
            line += step
        }
        return line
    }

    func write(_ bytes: ArraySlice<UInt8>, at offset: Int) throws(StoreError) {
        var failure: Int32 = 0
        bytes.withUnsafeBytes { buffer in
            var written = 0
            while written < buffer.count {
                let count = pwrite(
                    descriptor, buffer.baseAddress.map { $0 + written }, buffer.count - written, off_t(offset + written)
                )
                if count < 0, errno == EINTR { continue }
                guard count > 0 else {
                    failure = count == 0 ? ENOSPC : errno
                    return
                }
                written += count
            }
        }
        guard failure == 0 else { throw StoreError.system("write", failure) }
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(StoreError) { try write(bytes[...], at: offset) }

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
