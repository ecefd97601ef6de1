internal import Glibc
internal import TauCore
internal import TauLimits

/// Where a server is, and the key to it.
struct ServerAddress: Sendable {
    /// Such as `http://127.0.0.1:8080`, without a slash at the end.
    var url: String
    var key: String
    /// What vouches for a server that speaks TLS.
    var trust = Trust.system

    enum Trust: Sendable {
        case system
        /// The certificates in a file, as PEM.
        case file(String)
        /// It runs on this machine and has the data directory, whatever name its certificate has.
        case ownMachine
    }
}

/// How a server tells commands on the same data directory where it is: `server.json`, locked while it runs.
struct ServerPresence: ~Copyable {
    private let descriptor: Int32

    /// Writes the address down. Nil if another server has done so on this directory, or it cannot be written: then commands need `--server`.
    init?(url: String, dataDirectory: String) {
        let file = open(Self.path(dataDirectory), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { return nil }
        let line = Array("{\"url\":\(JSONValue.string(url).text),\"pid\":\(getpid())}\n".utf8)
        guard flock(file, LOCK_EX | LOCK_NB) == 0, ftruncate(file, 0) == 0, write(file, line, line.count) == line.count
        else {
            close(file)
            return nil
        }
        descriptor = file
    }

    deinit {
        ftruncate(descriptor, 0)
        close(descriptor)
    }

    private static func path(_ dataDirectory: String) -> String { dataDirectory + "/server.json" }

    /// The server that runs on a data directory; nil if none does.
    static func find(dataDirectory directory: String) -> ServerAddress? {
        let file = open(path(directory), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return nil }
        defer { close(file) }
        // Who can take the lock is alone: the server has ended.
        guard flock(file, LOCK_SH | LOCK_NB) != 0 else { return nil }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(file, &buffer, buffer.count)
        guard count > 0, let url = (try? JSONValue(parsing: buffer[..<count]))?["url"]?.string,
            let key = try? AdminKey.load(path: directory + "/admin.key")
        else { return nil }
        return ServerAddress(url: url, key: key, trust: .ownMachine)
    }
}
