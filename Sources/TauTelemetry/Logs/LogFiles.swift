internal import Glibc

/// Where lines end up: standard error, or `combined.log` and `error.log` in a directory, which are turned over when they are large.
/// Belongs to the one thread that writes.
struct LogFiles {
    private struct File {
        var path: String
        var descriptor: Int32
        var byteCount: Int
    }

    private var combined: File
    private var errors: File?
    private let limits: LogLimits

    /// Standard error.
    init(limits: LogLimits) {
        self.limits = limits
        combined = File(path: "", descriptor: STDERR_FILENO, byteCount: 0)
    }

    /// Files in a directory, which is made if it does not exist.
    init(directory: String, limits: LogLimits) throws(LogOutput.Failure) {
        self.limits = limits
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw LogOutput.Failure(
                description: "cannot make the log directory \(directory): \(String(cString: strerror(errno)))")
        }
        combined = try Self.open(directory + "/combined.log")
        errors = try Self.open(directory + "/error.log")
    }

    private static func open(_ path: String) throws(LogOutput.Failure) -> File {
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw LogOutput.Failure(
                description: "cannot open the log file \(path): \(String(cString: strerror(errno)))")
        }
        var status = stat()
        fstat(descriptor, &status)
        return File(path: path, descriptor: descriptor, byteCount: Int(status.st_size))
    }

    /// Writes lines, those that are errors to both files. False where some of it could not be written.
    mutating func write(_ lines: [UInt8], errors errorLines: [UInt8]) -> Bool {
        var isWritten = Self.write(lines, to: &combined, limits)
        if var file = errors, !errorLines.isEmpty {
            isWritten = Self.write(errorLines, to: &file, limits) && isWritten
            errors = file
        }
        return isWritten
    }

    private static func write(_ bytes: [UInt8], to file: inout File, _ limits: LogLimits) -> Bool {
        if !file.path.isEmpty, file.byteCount > 0, file.byteCount + bytes.count > limits.maxFileBytes {
            turnOver(&file, limits)
        }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(file.descriptor, $0.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                // A line that came in half must not be taken for the beginning of the next one.
                if written > 0, !file.path.isEmpty { ftruncate(file.descriptor, off_t(file.byteCount)) }
                return false
            }
            written += count
        }
        file.byteCount += bytes.count
        return true
    }

    /// `combined.log` becomes `combined.log.1`, that `combined.log.2`, and the last one goes.
    private static func turnOver(_ file: inout File, _ limits: LogLimits) {
        for number in stride(from: limits.keptFiles - 1, through: 1, by: -1) {
            rename("\(file.path).\(number)", "\(file.path).\(number + 1)")
        }
        if limits.keptFiles > 0 { rename(file.path, file.path + ".1") } else { unlink(file.path) }
        reopen(&file)
    }

    /// Opens the files anew, which somebody else has moved away. Where that fails the old ones go on.
    mutating func reopen() {
        guard var file = errors else { return }
        Self.reopen(&file)
        errors = file
        Self.reopen(&combined)
    }

    private static func reopen(_ file: inout File) {
        do throws(LogOutput.Failure) {
            let new = try open(file.path)
            Glibc.close(file.descriptor)
            file = new
        } catch {
            // Nobody is there to hear it but the old file.
            let line = Array("{\"level\":\"error\",\"message\":\"\(error.description)\"}\n".utf8)
            _ = line.withUnsafeBytes { Glibc.write(file.descriptor, $0.baseAddress, $0.count) }
            file.byteCount += line.count
        }
    }

    func close() {
        guard let errors else { return }
        Glibc.close(combined.descriptor)
        Glibc.close(errors.descriptor)
    }
}
