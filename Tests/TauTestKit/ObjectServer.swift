import Foundation
import Glibc

/// A real S3 server on a free port of the loopback, with one bucket, `tests`.
public final class ObjectServer: Sendable {
    public enum Kind: String, CaseIterable, Sendable {
        /// From PyPI, prepared by `scripts/s3-servers.sh`; it checks who asks, not what is sent.
        case rclone
        /// Debian's Ceph; it checks everything.
        case ceph
    }

    public static let accessKey = "AKIATESTS"
    public static let secretKey = "secret/of+the+tests"
    public static let bucket = "tests"
    public let port: Int
    private let process: ServerProcess

    public init(_ kind: Kind) throws {
        // Ceph's other servers take the ports after it.
        let port = try LoopbackPort.reserve(kind == .ceph ? 41 : 1)
        self.port = port
        switch kind {
        case .rclone:
            let program = try Self.directory() + "/rclone"
            process = try ServerProcess(
                "rclone", program: program, ready: "Starting s3 server", stopSignal: SIGKILL
            ) { directory in
                mkdir(directory + "/data", 0o777)
                mkdir(directory + "/data/" + Self.bucket, 0o777)
                chmod(directory + "/data", 0o777)
                chmod(directory + "/data/" + Self.bucket, 0o777)
                return [
                    "serve", "s3", directory + "/data", "--addr", "127.0.0.1:\(port)", "--vfs-cache-mode", "off",
                    "--auth-key", "\(Self.accessKey),\(Self.secretKey)", "--config", directory + "/none", "-v",
                ]
            }
        case .ceph:
            let script =
                URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent().path + "/scripts/ceph-object-server.sh"
            process = try ServerProcess("ceph", program: "/bin/bash", ready: "ready", stopSignal: SIGKILL) {
                // The script lies where another user may not look.
                try FileManager.default.copyItem(atPath: script, toPath: $0 + "/server.sh")
                return [$0 + "/server.sh", $0, "\(port)", Self.accessKey, Self.secretKey]
            }
        }
    }

    /// Where `scripts/s3-servers.sh` has put what it installs.
    public static func directory() throws -> String {
        guard let directory = ProcessInfo.processInfo.environment["TAU_TEST_S3_DIR"] else {
            throw BuiltPrograms.Failure(description: "TAU_TEST_S3_DIR is not set: run the tests with `make test`")
        }
        return directory
    }

    public var endpoint: String { "http://127.0.0.1:\(port)" }

    /// The variables by which clients find it.
    public var variables: [String: String] {
        [
            "AWS_ACCESS_KEY_ID": Self.accessKey, "AWS_SECRET_ACCESS_KEY": Self.secretKey, "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
        ]
    }

    public func send(_ signal: Int32) { process.send(signal) }
    public func kill() { process.kill() }
    public func restart() throws { try process.restart() }
}
