internal import Glibc

/// A file that holds a secret, as container platforms hand them over.
enum SecretFile {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// The whole file; throws where it is larger.
    static func read(_ path: String, maxBytes: Int) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw Failure(description: "\(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count >= 0 else {
                throw Failure(description: "\(path) cannot be read: \(String(cString: strerror(errno)))")
            }
            guard count > 0 else { return bytes }
            bytes += buffer.prefix(count)
            guard bytes.count <= maxBytes else {
                throw Failure(description: "\(path) is larger than \(maxBytes) bytes")
            }
        }
    }

    /// The secret in a file: its text without the line ends behind it.
    static func secret(_ path: String) throws -> String {
        let bytes = try read(path, maxBytes: 64 << 10)
        let end = bytes.lastIndex { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
        guard let end, let text = String(validating: bytes[...end], as: UTF8.self) else {
            throw Failure(description: "\(path) holds no text")
        }
        return text
    }
}
