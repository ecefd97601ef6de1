internal import Glibc
internal import TauSystem

/// Files of the person who runs a command.
enum LocalFile {
    /// The content of a file, or of standard input where the path is `-`; nil if it is longer than `limit` bytes.
    static func read(_ path: String, limit: Int) throws(ClientError) -> [UInt8]? {
        // Standard input is not ours to close.
        let number = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
        let name = path == "-" ? "standard input" : path
        guard number >= 0 else {
            throw ClientError(.local, "cannot read \(name): \(String(cString: strerror(errno)))")
        }
        do throws(SystemError) {
            return try FileDescriptor(adopting: number).readAll(limit: limit)
        } catch {
            throw ClientError(.local, "cannot read \(name): \(error.reason)")
        }
    }

    /// Writes a file of mode 0600, wholly or not at all; one that is there already is only replaced if it may be.
    static func write(_ content: [UInt8], to path: String, replaces: Bool) throws(ClientError) {
        func failure(_ reason: String) -> ClientError { ClientError(.local, "cannot write \(path): \(reason)") }
        func lastFailure() -> ClientError { failure(String(cString: strerror(errno))) }
        // Beside the file first, so that a full disk leaves no half a session in its place.
        let temporary = "\(path).\(getpid()).tmp"
        let number = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard number >= 0 else { throw lastFailure() }
        defer { unlink(temporary) }
        do throws(SystemError) {
            let file = FileDescriptor(adopting: number)
            try file.write(content)
            try file.synchronize()
        } catch {
            throw failure(error.reason)
        }
        if replaces {
            guard rename(temporary, path) == 0 else { throw lastFailure() }
        } else if link(temporary, path) != 0 {
            guard errno == EEXIST else { throw lastFailure() }
            throw ClientError(.local, "\(path) exists already; --force replaces it")
        }
    }
}
