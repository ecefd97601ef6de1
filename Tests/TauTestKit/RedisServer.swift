import Foundation
import Glibc

/// A real Redis on a free port of the loopback; `scripts/install-dependencies.sh tests` installs it.
public final class RedisServer: Sendable {
    public let port: Int
    public let password: String?
    /// The certificate of a server that speaks TLS.
    public let certificatePath: String?
    private let process: ServerProcess

    public init(password: String? = nil, usesTLS: Bool = false) throws {
        let port = try LoopbackPort.reserve()
        self.port = port
        self.password = password
        process = try ServerProcess(
            "redis", program: "/usr/bin/redis-server", ready: "Ready to accept connections", stopSignal: SIGKILL
        ) { directory in
            var arguments = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory]
            if let password { arguments += ["--requirepass", password] }
            guard usesTLS else { return ["--port", "\(port)"] + arguments }
            try ServerProcess.run(
                "/usr/bin/openssl",
                [
                    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
                    directory + "/key.pem", "-out", directory + "/certificate.pem",
                ], input: "")
            return ["--port", "0", "--tls-port", "\(port)", "--tls-auth-clients", "no"]
                + ["--tls-cert-file", directory + "/certificate.pem", "--tls-key-file", directory + "/key.pem"]
                + arguments
        }
        certificatePath = usesTLS ? process.directory + "/certificate.pem" : nil
    }

    public func url(user: String = "", password: String? = nil, options: String = "") -> String {
        let secret = (password ?? self.password).map { "\(user):\($0)@" } ?? ""
        return "\(certificatePath == nil ? "redis" : "rediss")://\(secret)127.0.0.1:\(port)\(options)"
    }

    public func send(_ signal: Int32) { process.send(signal) }
    public func kill() { process.kill() }
    public func restart() throws { try process.restart() }
}
