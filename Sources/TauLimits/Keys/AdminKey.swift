internal import Crypto
internal import Glibc
internal import TauSystem

/// The server's own key: whoever has it may do everything.
package struct AdminKey: Sendable {
    /// Why a key file could not be used.
    package enum Failure: Error, CustomStringConvertible {
        case unusableFile(path: String, reason: String)
        case tooShort

        package var description: String {
            switch self {
            case .unusableFile(let path, let reason): "the admin key file \(path) cannot be used: \(reason)"
            case .tooShort: "the admin key (auth.adminKey) must be at least \(AdminKey.minimumBytes) bytes long"
            }
        }
    }

    /// The shortest key that is accepted.
    package static let minimumBytes = 16

    private let digest: SHA256.Digest

    /// Only the key's hash is kept.
    package init(_ key: String) throws(Failure) {
        guard key.utf8.count >= Self.minimumBytes else { throw .tooShort }
        digest = SHA256.hash(data: Array(key.utf8))
    }

    /// Digests are compared in constant time.
    package func matches(_ token: String) -> Bool { SHA256.hash(data: Array(token.utf8)) == digest }

    /// A new key: `tau_` and 256 random bits.
    package static func generate() -> String {
        "tau_admin_" + (0..<32).map { _ in UInt8.random(in: .min ... .max) }.hexadecimalDigits
    }

    /// The key in a file of mode 0600; at the first start a new one is made there.
    package static func load(path: String) throws(Failure) -> String {
        let created = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        if created >= 0 {
            defer { close(created) }
            let key = generate()
            let line = Array("\(key)\n".utf8)
            guard write(created, line, line.count) == line.count, fsync(created) == 0 else {
                throw .unusableFile(path: path, reason: String(cString: strerror(errno)))
            }
            return key
        }
        guard errno == EEXIST else { throw .unusableFile(path: path, reason: String(cString: strerror(errno))) }
        return try read(path)
    }

    private static func read(_ path: String) throws(Failure) -> String {
        let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unusableFile(path: path, reason: String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & 0o077 == 0 else {
            throw .unusableFile(path: path, reason: "it must be readable by its owner only (chmod 600)")
        }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        let key = String(decoding: buffer.prefix(max(0, count)).prefix { $0 > 0x20 }, as: UTF8.self)
        guard key.utf8.count >= minimumBytes else { throw .unusableFile(path: path, reason: "it holds no key") }
        return key
    }
}
