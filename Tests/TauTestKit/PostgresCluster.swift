import Foundation
import Glibc

/// A PostgreSQL with one standby that streams from it.
public final class PostgresCluster: Sendable {
    public let primary: PostgresServer
    public let standby: PostgresServer

    /// With `isSynchronous` a commit is acknowledged once the standby has it, too. Blocks for some seconds.
    public init(isSynchronous: Bool) throws {
        primary = try PostgresServer(settings: ["wal_level=replica", "max_wal_senders=5", "hot_standby=on"])
        standby = try PostgresServer(copying: primary)
        guard isSynchronous else { return }
        try primary.run("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
        while try !primary.run("SELECT sync_state FROM pg_stat_replication").contains("sync\n") {}
    }

    /// Both, of which the one that takes writes is meant.
    public var url: String {
        let place = "127.0.0.1:\(primary.port),127.0.0.1:\(standby.port)"
        return "postgres://tau:\(PostgresServer.password)@\(place)/postgres?target_session_attrs=read-write"
    }

    /// Makes the standby the primary. It waits for no standby of its own.
    public func promote() throws {
        try standby.run(
            "SELECT pg_promote()", "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")
    }
}

extension PostgresServer {
    /// Runs statements by psql, one after the other.
    @discardableResult
    public func run(_ statements: String...) throws -> String {
        try ServerProcess.run(
            Self.programsDirectory() + "/psql",
            ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url()] + statements.flatMap { ["-c", $0] }, input: "")
    }
}
