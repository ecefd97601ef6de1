internal import Logging
internal import Synchronization
package import TauCore
internal import TauPostgres

/// The servers on one database: hears what others ask of this one, and looks for those that have died.
package final class PostgresPeers: PeerServers {
    private let configuration: PostgresConfiguration
    private let pool: PostgresPool
    private let servers: ServerRegistry
    private let sessions: PostgresSessionStore
    private let messages: PeerMessages
    private let lookSeconds: Int
    private let logger: Logger
    /// The servers that wait for an answer, by what they want.
    private let askers = Mutex<[SessionID: Set<[UInt8]>]>([:])
    private let requests: AsyncStream<PeerRequest>
    private let queue: AsyncStream<PeerRequest>.Continuation

    /// Requests that wait; what is dropped beyond is asked for again, or ends with its lease.
    private static let maxRequests = 10_000

    init(
        settings: PostgresSettings, pool: PostgresPool, servers: ServerRegistry, sessions: PostgresSessionStore,
        messages: PeerMessages, logger: Logger
    ) {
        configuration = settings.listening
        lookSeconds = settings.leaseSeconds
        self.pool = pool
        self.servers = servers
        self.sessions = sessions
        self.messages = messages
        self.logger = logger
        (requests, queue) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.maxRequests))
    }

    // MARK: What others ask

    package func serve(_ handle: @escaping @Sendable (PeerRequest) async -> Void) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                let listener = PostgresListener(self.configuration, channels: [self.messages.channel])
                await listener.run { await self.take($0) }
                self.messages.setListening(false)
            }
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(for: .seconds(self.lookSeconds))
                    self.queue.yield(.takeUpRuns)
                }
            }
            group.addTask {
                for await request in self.requests {
                    await handle(request)
                    if case .release(let session) = request { await self.giveUp(session) }
                }
            }
        }
    }

    private func take(_ event: PostgresListener.Event) async {
        switch event {
        case .listening: messages.setListening(true)
        case .lost(let error):
            messages.setListening(false)
            logger.warning(
                "other servers are not heard; that is tried again", metadata: ["reason": "\(error)"])
        case .notification(let notification):
            switch PeerMessages.message(notification.payload) {
            case .answered(let session): messages.resolve(session)
            case .cancel(let run): queue.yield(.cancel(run))
            case .release(let server, let session):
                askers.withLock { _ = $0[session, default: []].insert(server) }
                queue.yield(.release(session))
            case nil: logger.warning("another server has said something that is not understood")
            }
        }
    }

    /// Frees a session that nobody here has open, and tells who has asked.
    private func giveUp(_ session: SessionID) async {
        let servers = askers.withLock { $0.removeValue(forKey: session) ?? [] }
        do throws(PostgresError) {
            if !sessions.isOpen(session) {
                try await pool.query(
                    LeaseStatements.giveBack(session.uuid, server: self.servers.id), isRepeatable: true)
            }
            for server in servers { try await messages.send(.answered(session), to: server) }
        } catch {
            logger.warning(
                "another server's question was not answered",
                metadata: ["session_id": "\(session)", "reason": "\(error)"])
        }
    }

    /// Returns once this server hears others.
    func untilListening() async { await messages.untilListening() }

    // MARK: What this one asks

    package func cancel(_ run: RunID) async throws(StoreError) {
        try await storing { () throws(PostgresError) in
            let result = try await pool.query(
                "SELECT server_id FROM runs WHERE id = $1 AND NOT is_final AND server_id IS NOT NULL",
                .utf8(EntryRows.text(run.rawValue)))
            guard let row = result.rows.first else { return }
            try await messages.send(.cancel(run), to: try row.bytes(0))
        }
    }

    // MARK: This server's own leases

    /// Prolongs them. Where their time had run out, the sessions that others have taken meanwhile are forgotten.
    func renewLeases() async throws(StoreError) {
        let open = sessions.openSessions
        guard try await !servers.renew(), !open.isEmpty else { return }
        let kept = try await storing { () throws(PostgresError) in
            let result = try await pool.query(
                "SELECT session_id FROM leases WHERE server_id = $1", .uuid(servers.id))
            var kept: Set<[UInt8]> = []
            for row in result.rows { kept.insert(try row.bytes(0)) }
            return kept
        }
        for session in open where !kept.contains(session.uuid) {
            logger.warning(
                "another server has taken a session over: this one was not heard of for too long",
                metadata: ["session_id": "\(session)"])
            sessions.forget(session)
            queue.yield(.forget(session))
        }
    }
}
