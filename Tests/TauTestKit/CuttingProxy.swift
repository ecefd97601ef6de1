import Glibc
import Synchronization
import TauSystem

/// Passes connections on to a server of the loopback, and cuts one off where a test wants it.
public final class CuttingProxy: Sendable {
    public enum Direction: CaseIterable, Sendable { case toServer, toClient }

    /// Bytes of one connection after which it ends.
    private let cut = Mutex<(direction: Direction, bytes: Int)?>(nil)
    public let port: Int
    private let target: Int
    private let listener: Int32

    public init(to target: Int) throws {
        self.target = target
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = Self.address(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, length) == 0 && listen(listener, 100) == 0
                    && getsockname(listener, pointer, &length) == 0
            }
        }
        guard isBound else { throw BuiltPrograms.Failure(description: "no port for a proxy") }
        port = Int(UInt16(bigEndian: address.sin_port))
        try SystemThread.start { [weak self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0, let self else { return }
                try? SystemThread.start { self.serve(client) }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    /// Connections end once so many bytes have gone this way.
    public func cutConnections(_ direction: Direction, after bytes: Int) { cut.withLock { $0 = (direction, bytes) } }

    public func passEverything() { cut.withLock { $0 = nil } }

    private static func address(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private func serve(_ client: Int32) {
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer {
            close(client)
            close(server)
        }
        var address = Self.address(target)
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else { return }
        var counts: [Direction: Int] = [.toServer: 0, .toClient: 0]
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while let ready = try? waitForInput([client, server], milliseconds: 60_000) {
            for (index, direction) in [Direction.toServer, .toClient].enumerated() where ready[index] {
                let (source, sink) = index == 0 ? (client, server) : (server, client)
                let count = recv(source, &buffer, buffer.count, 0)
                guard count > 0 else { return }
                var passed = count
                if let cut = cut.withLock({ $0 }), cut.direction == direction {
                    passed = max(0, min(count, cut.bytes - (counts[direction] ?? 0)))
                }
                guard passed == 0 || send(sink, buffer, passed, Int32(MSG_NOSIGNAL)) == passed else { return }
                counts[direction, default: 0] += passed
                if passed < count { return }
            }
            if !ready.contains(true) { return }
        }
    }
}
