import Foundation
import Synchronization

/// Stands between Tau and a model server and breaks what goes through, one fault a connection, then relays.
///
/// Each connection has a thread of its own: the test's tasks never wait for a socket.
final class FaultProxy: Sendable {
    enum Fault: Sendable {
        /// Closes with a reset as soon as the request has come.
        case reset
        /// Sends so many bytes of the answer's body, then nothing more for as long as the client stays.
        case stall(afterBytes: Int)
        /// Sends so many bytes of the answer's body, then closes.
        case cut(afterBytes: Int)
        /// Answers itself.
        case answer(status: String, headers: [String] = [], body: String)
        /// A stream that never ends.
        case endless(piece: String)
    }

    /// What stands behind it: the address of a real server, or the body of a stream that is always the same.
    enum Upstream: Sendable {
        case server(port: Int)
        case stream([UInt8])
    }

    private struct State {
        var faults: [Fault]
        var isStopped = false
        var connections = 0
    }

    let port: Int
    private let listener: Int32
    private let upstream: Upstream
    private let state: Mutex<State>

    var url: String { "http://127.0.0.1:\(port)" }
    /// Connections so far.
    var connectionCount: Int { state.withLock { $0.connections } }

    init(_ upstream: Upstream, faults: [Fault] = []) throws {
        self.upstream = upstream
        state = Mutex(State(faults: faults))
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = Self.loopback(port: 0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(listener, raw, length) == 0 && listen(listener, 64) == 0
                    && getsockname(listener, raw, &length) == 0
            }
        }
        guard bound else { throw TauProcess.Failure(description: "the proxy cannot listen") }
        self.listener = listener
        port = Int(UInt16(bigEndian: address.sin_port))
        Thread.detachNewThread { self.accept() }
    }

    private static func loopback(port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    /// Refuses every further connection.
    func stop() {
        guard
            !state.withLock({ state in
                defer { state.isStopped = true }
                return state.isStopped
            })
        else { return }
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private func accept() {
        while true {
            let client = Glibc.accept(listener, nil, nil)
            guard client >= 0 else { return }
            let fault = state.withLock { state -> Fault? in
                state.connections += 1
                return state.faults.isEmpty ? nil : state.faults.removeFirst()
            }
            Thread.detachNewThread {
                self.serve(client, fault)
                close(client)
            }
        }
    }

    private func serve(_ client: Int32, _ fault: Fault?) {
        guard let request = Self.readRequest(client) else { return }
        switch fault {
        case nil: relay(request, to: client, limit: .max)
        case .reset:
            // A linger time of zero makes close send a reset.
            var option = linger(l_onoff: 1, l_linger: 0)
            setsockopt(client, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        case .cut(let bytes): relay(request, to: client, limit: bytes)
        case .stall(let bytes):
            relay(request, to: client, limit: bytes)
            // Until the client gives up.
            var byte: UInt8 = 0
            while recv(client, &byte, 1, 0) > 0 {}
        case .answer(let status, let headers, let body):
            let head = ["HTTP/1.1 \(status)", "content-length: \(body.utf8.count)", "connection: close"] + headers
            Self.write(Array((head.joined(separator: "\r\n") + "\r\n\r\n" + body).utf8), client)
        case .endless(let piece):
            Self.write(Self.streamHead, client)
            let bytes = Array(String(repeating: piece, count: 100).utf8)
            while Self.write(bytes, client) {}
        }
    }

    private static let streamHead = Array(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".utf8)

    /// The whole request with its body, whose length must be told.
    private static func readRequest(_ client: Int32) -> [UInt8]? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            if let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) {
                let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).lowercased()
                let length =
                    head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }
                    .flatMap { Int($0.split(separator: ":")[1].trimmingCharacters(in: .whitespaces)) } ?? 0
                if bytes.count >= end.upperBound + length { return bytes }
            }
            let count = recv(client, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            bytes += buffer[..<count]
        }
    }

    private func relay(_ request: [UInt8], to client: Int32, limit: Int) {
        switch upstream {
        case .stream(let body):
            Self.write(Self.streamHead + body.prefix(limit), client)
        case .server(let port):
            let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(server) }
            var address = Self.loopback(port: port)
            let isConnected = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            guard isConnected, Self.write(request, server) else { return }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            var sent = 0
            while sent < limit {
                let count = recv(server, &buffer, min(buffer.count, limit - sent), 0)
                guard count > 0, Self.write(Array(buffer[..<count]), client) else { return }
                sent += count
            }
        }
    }

    @discardableResult
    private static func write(_ bytes: [UInt8], _ descriptor: Int32) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { pointer in
                send(descriptor, pointer.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }
}
