internal import TauPostgres

/// The right to append to a session, as statements of one transaction.
enum LeaseStatements {
    /// Takes the lease if nobody at work has it, under the next epoch, and answers that; no row where it cannot be had, or there is no
    /// such session.
    static func take(_ session: [UInt8], server: [UInt8]) -> PostgresStatement {
        PostgresStatement(
            """
            INSERT INTO leases AS lease (session_id, server_id, epoch)
            SELECT id, $2, 1 FROM sessions WHERE id = $1
            ON CONFLICT (session_id) DO UPDATE SET server_id = $2, epoch = lease.epoch + 1, taken_at = now()
            WHERE lease.server_id IS NULL OR lease.server_id = $2
                OR NOT EXISTS (SELECT FROM servers WHERE id = lease.server_id AND expires_at > now())
            RETURNING epoch
            """, [.uuid(session), .uuid(server)])
    }

    /// Lets appends under the new epoch in, and those under older ones not. Waits for one that is under way.
    static func enforce(_ session: [UInt8], server: [UInt8]) -> PostgresStatement {
        PostgresStatement(
            """
            UPDATE session_heads AS head SET epoch = lease.epoch FROM leases AS lease
            WHERE head.session_id = $1 AND lease.session_id = $1 AND lease.server_id = $2
            RETURNING head.line_count, head.byte_count, head.has_raw_lines
            """, [.uuid(session), .uuid(server)])
    }

    static func giveBack(_ session: [UInt8], server: [UInt8]) -> PostgresStatement {
        PostgresStatement(
            "UPDATE leases SET server_id = NULL WHERE session_id = $1 AND server_id = $2",
            [.uuid(session), .uuid(server)])
    }

    /// The server at work that has the session.
    static func holder(of session: [UInt8]) -> PostgresStatement {
        PostgresStatement(
            """
            SELECT server.id FROM leases JOIN servers AS server ON server.id = leases.server_id
            WHERE leases.session_id = $1 AND server.expires_at > now()
            """, [.uuid(session)])
    }
}
