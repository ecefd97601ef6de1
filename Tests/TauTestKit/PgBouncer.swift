import Glibc

/// A real pgbouncer in front of a PostgreSQL, which gives a connection of the server's to another client after each transaction.
public final class PgBouncer: Sendable {
    public let port: Int
    private let process: ServerProcess

    public init(_ server: PostgresServer, connectionsPerDatabase: Int = 2) throws {
        let port = try LoopbackPort.reserve()
        self.port = port
        process = try ServerProcess(
            "pgbouncer", program: "/usr/sbin/pgbouncer", ready: "process up", stopSignal: SIGKILL
        ) { directory in
            let configuration = """
                [databases]
                * = host=127.0.0.1 port=\(server.port)
                [pgbouncer]
                listen_addr = 127.0.0.1
                listen_port = \(port)
                unix_socket_dir =
                auth_type = scram-sha-256
                auth_file = \(directory)/users
                pool_mode = transaction
                default_pool_size = \(connectionsPerDatabase)
                """
            try Self.write("\"tau\" \"\(PostgresServer.password)\"\n", to: directory + "/users")
            try Self.write(configuration, to: directory + "/pgbouncer.ini")
            return [directory + "/pgbouncer.ini"]
        }
    }

    private static func write(_ text: String, to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT, 0o644)
        guard file >= 0, Glibc.write(file, text, text.utf8.count) == text.utf8.count, close(file) == 0 else {
            throw BuiltPrograms.Failure(description: "\(path) cannot be written")
        }
    }
}
