internal import Glibc

/// systemd, where it has started this process and wants to hear from it (`Type=notify`, sd_notify(3)).
package struct ServiceManager: Sendable {
    private let path: [UInt8]
    /// Microseconds within which it must hear of the process, if it watches over it (`WatchdogSec=`).
    package let watchdogMicroseconds: Int?

    /// Nil where nobody wants to hear anything.
    package init?() {
        guard let text = getenv("NOTIFY_SOCKET") else { return nil }
        path = Array(String(cString: text).utf8)
        guard let first = path.first, [UInt8(ascii: "/"), UInt8(ascii: "@")].contains(first), path.count < 108 else {
            return nil
        }
        watchdogMicroseconds = getenv("WATCHDOG_USEC").flatMap { Int(String(cString: $0)) }
    }

    /// Sends lines such as `READY=1`. What it does not hear it does not hear: there is nobody else to tell.
    package func notify(_ state: String) {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { bytes in
            bytes.copyBytes(from: path)
            // A name without a file begins with a zero.
            if path[0] == UInt8(ascii: "@") { bytes[0] = 0 }
        }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
        let text = Array(state.utf8)
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = sendto(descriptor, text, text.count, Int32(MSG_NOSIGNAL), address, length)
            }
        }
    }
}
