import Foundation
import Glibc

/// A real PostgreSQL on a free port of the loopback. Its programs are Debian's; `scripts/install-dependencies.sh tests`
/// installs them.
public final class PostgresServer: Sendable {
    public let port: Int
    private let process: ServerProcess

    public static let password = "secret-of-the-tests"

    /// Makes a cluster and starts it. Blocks for about a second.
    public convenience init(settings: [String] = []) throws {
        let programs = try Self.programsDirectory()
        try self.init(settings: settings) { directory in
            try ServerProcess.run(
                programs + "/initdb",
                [
                    "-D", directory + "/data", "-A", "scram-sha-256", "-U", "tau", "--no-sync", "-E", "UTF8",
                    "--locale=C.UTF-8", "--pwfile=/dev/fd/3",
                ], input: Self.password)
        }
    }

    /// Starts a standby of another server, which goes on to follow it.
    public convenience init(copying primary: PostgresServer) throws {
        let programs = try Self.programsDirectory()
        try self.init(settings: ["hot_standby=on"]) { directory in
            try ServerProcess.run(
                programs + "/pg_basebackup",
                ["-D", directory + "/data", "-d", primary.url(), "-R", "-X", "stream", "-c", "fast", "--no-sync"],
                input: "")
        }
    }

    private init(settings: [String], prepare: (_ directory: String) throws -> Void) throws {
        let programs = try Self.programsDirectory()
        let port = try LoopbackPort.reserve()
        self.port = port
        process = try ServerProcess(
            "postgres", program: programs + "/postgres", ready: "ready to accept", stopSignal: SIGQUIT
        ) { directory in
            try prepare(directory)
            let options = [
                "listen_addresses=127.0.0.1", "port=\(port)", "unix_socket_directories=\(directory)", "fsync=off",
                "max_connections=200",
            ]
            return ["-D", directory + "/data"] + (options + settings).flatMap { ["-c", $0] }
        }
    }

    static func programsDirectory() throws -> String {
        guard let programs else {
            throw BuiltPrograms.Failure(description: "PostgreSQL is not installed: run the tests with `make test`")
        }
        return programs
    }

    /// Where Debian keeps the programs, newest version first; nil if there are none.
    private static let programs: String? = {
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []
        return versions.compactMap { Int($0) }.sorted(by: >).map { "/usr/lib/postgresql/\($0)/bin" }
            .first { access($0 + "/initdb", X_OK) == 0 }
    }()

    /// With another port, that of something in between.
    public func url(port: Int? = nil) -> String {
        "postgres://tau:\(Self.password)@127.0.0.1:\(port ?? self.port)/postgres"
    }

    public func send(_ signal: Int32) { process.send(signal) }

    /// To the server and to all processes that serve connections.
    public func sendToAll(_ signal: Int32) {
        for child in Self.children(of: process.processID) { Glibc.kill(child, signal) }
        process.send(signal)
    }

    /// Kills it at once, with all processes that serve connections.
    public func kill() {
        // Frozen first: who comes meanwhile must not get a process that nobody kills.
        let server = process.processID
        process.send(SIGSTOP)
        while let state = Self.state(of: server), state != "T", state != "Z" { sched_yield() }
        // They would live on until they notice, and keep the next start from happening.
        let children = Self.children(of: server)
        for child in children { Glibc.kill(child, SIGKILL) }
        process.kill()
        // Until the last one is gone its memory counts as in use.
        while children.contains(where: { Self.state(of: $0).map { $0 != "Z" } ?? false }) { sched_yield() }
    }

    /// Starts it again on its data.
    public func restart() throws {
        kill()
        try process.restart()
    }

    /// As `/proc` has it: `R`, `S`, `T` for a frozen one, `Z` for one that has ended, …; nil where there is none.
    private static func state(of process: pid_t) -> Character? {
        guard process > 0, let status = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
            let name = status.lastIndex(of: ")")
        else { return nil }
        return status[name...].dropFirst(2).first
    }

    private static func children(of process: pid_t) -> [pid_t] {
        guard process > 0 else { return [] }
        let path = "/proc/\(process)/task/\(process)/children"
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return text.split(separator: " ").compactMap { pid_t($0) }
    }
}
