import Glibc
import Synchronization

/// Ports of the loopback for servers that cannot choose one themselves and say which.
public enum LoopbackPort {
    /// Below those that the kernel gives to connections, which could otherwise take one before its server does, also while
    /// the server is down.
    private static let range = 20_000..<32_000
    private static let next = Mutex(Int.random(in: range))

    /// The first of `count` ports that lie side by side, are free, and are given to nobody else in this process.
    public static func reserve(_ count: Int = 1) throws -> Int {
        try next.withLock { next in
            for _ in range {
                if next + count > range.upperBound { next = range.lowerBound }
                let first = next
                next += count
                if (first..<first + count).allSatisfy(isFree) { return first }
            }
            throw BuiltPrograms.Failure(
                description: "all ports from \(range.lowerBound) to \(range.upperBound) are taken")
        }
    }

    private static func isFree(_ port: Int) -> Bool {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { return false }
        defer { close(socket) }
        // As the servers do, which do not wait for connections that have ended.
        var yes: Int32 = 1
        setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
