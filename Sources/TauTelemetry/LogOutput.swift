internal import Glibc
internal import Synchronization

/// Where log lines go: standard error, or `combined.log` and `error.log` in a directory.
package final class LogOutput: Sendable {
    /// A directory or file that cannot be opened.
    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    private let combined: Int32
    private let errors: Int32?
    /// Lines of several threads must not mix.
    private let lock = Mutex(())

    /// Standard error.
    package init() {
        combined = STDERR_FILENO
        errors = nil
    }

    /// Files in a directory, which is made if it does not exist.
    package init(directory: String) throws(Failure) {
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw Failure(
                description: "cannot make the log directory \(directory): \(String(cString: strerror(errno)))")
        }
        combined = try Self.open(directory + "/combined.log")
        errors = try Self.open(directory + "/error.log")
    }

    private static func open(_ path: String) throws(Failure) -> Int32 {
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw Failure(description: "cannot open the log file \(path): \(String(cString: strerror(errno)))")
        }
        return descriptor
    }

    deinit {
        guard let errors else { return }
        close(combined)
        close(errors)
    }

    func write(_ line: [UInt8], isError: Bool) {
        lock.withLock { _ in
            Self.writeAll(line, to: combined)
            if isError, let errors { Self.writeAll(line, to: errors) }
        }
    }

    /// A log that cannot be written is lost: there is nowhere left to say so.
    private static func writeAll(_ bytes: [UInt8], to descriptor: Int32) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            written += count
        }
    }
}
