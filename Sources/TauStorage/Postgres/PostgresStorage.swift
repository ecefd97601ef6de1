package import Logging
package import TauCore
internal import TauObjects
internal import TauPostgres
internal import TauRedis
internal import TauSystem

/// Sessions and runs in PostgreSQL, put together for one server.
package final class PostgresStorage: Sendable {
    package let sessions: PostgresSessionStore
    package let runs: PostgresRunStore
    package let peers: PostgresPeers
    package let accounts: PostgresAccounts
    package let ledger: BatchedLedger
    package let idempotency: PostgresIdempotency
    package var archive: (any SessionArchive)? { sessions.archive }
    private let pool: PostgresPool
    private let reading: ReadPool
    private let writer: BatchWriter
    private let servers: ServerRegistry
    private let redis: RedisClient?
    private let settings: PostgresSettings
    private let logger: Logger

    /// Connects when it is first needed.
    package init(_ settings: PostgresSettings, logger: Logger) throws(StoreError) {
        self.settings = settings
        self.logger = logger
        pool = PostgresPool(settings.primary, limits: settings.pool) { notice in
            logger.debug("the database says something", metadata: ["notice": "\(notice)"])
        }
        reading = ReadPool(primary: pool, settings: settings, logger: logger)
        servers = ServerRegistry(pool: pool, settings: settings)
        do throws(SystemError) {
            writer = try BatchWriter(
                settings.primary, limits: settings.batch, runs: RunRows(server: servers.id), logger: logger)
        } catch {
            throw StoreError(.unavailable, "no thread can be made for the database: \(error.reason)")
        }
        var layers: [any ContextStore] = [MemoryContexts(maxBytes: settings.contextBytes)]
        redis = settings.redis.map(RedisClient.init)
        if let redis {
            var limits = RedisContexts.Limits()
            limits.keepSeconds = settings.contextSeconds
            limits.redis.timeoutMilliseconds = settings.redisMilliseconds
            layers.append(RedisContexts(redis, limits: limits, logger: logger))
        }
        let contexts = LayeredContexts(layers: layers)
        let messages = PeerMessages(
            pool: pool, server: servers.id, waitMilliseconds: settings.handoverMilliseconds)
        sessions = PostgresSessionStore(
            pool: pool, reading: reading, writer: writer, servers: servers, messages: messages, contexts: contexts,
            bucket: settings.archive?.bucket,
            settings: settings, logger: logger)
        peers = PostgresPeers(
            settings: settings, pool: pool, servers: servers, sessions: sessions, messages: messages, logger: logger)
        accounts = PostgresAccounts(pool: pool)
        idempotency = PostgresIdempotency(pool: pool, servers: servers)
        ledger = BatchedLedger(PostgresLedger(pool: pool), carrier: writer, logger: logger)
        runs = PostgresRunStore(pool: pool, writer: writer, servers: servers)
    }

    /// Brings the tables to this version; answers the names of the steps that were missing.
    @discardableResult
    package func migrate() async throws(StoreError) -> [String] { try await PostgresMigrations(pool).run() }

    /// Whether every commit is on a second machine before it is acknowledged; without, a failover may lose the last ones.
    package func hasSynchronousStandby() async throws(StoreError) -> Bool {
        try await storing { () throws(PostgresError) in
            let statement = PostgresStatement(
                "SELECT current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') IN ('on', 'remote_apply')"
            )
            return try await pool.query(statement, isRepeatable: true).rows[0].bool(0)
        }
    }

    /// Sets the gauges of what is here now.
    package func noteMeasurements() {
        let status = pool.status
        Measurements.connections.set(status.inUse, "busy")
        Measurements.connections.set(status.idle, "idle")
        Measurements.connections.set(status.waiting, "waiting")
    }

    /// Keeps this server's leases, and the list near the lines, until the task is cancelled.
    package func maintain() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.pool.maintain() }
            group.addTask { await self.ledger.serve() }
            group.addTask { await self.reading.maintain() }
            group.addTask {
                await self.repeatedly(every: self.servers.renewalSeconds, "this server's leases") {
                    () throws(StoreError) in try await self.peers.renewLeases()
                }
            }
            group.addTask {
                await self.repeatedly(every: Self.upkeepSeconds, "the list of sessions") { () throws(StoreError) in
                    try await self.sessions.catalog.bringUpToDate(quietSeconds: Self.quietSeconds)
                }
            }
            group.addTask {
                await self.repeatedly(every: Self.cleaningSeconds, "the record of runs") { () throws(StoreError) in
                    try await self.runs.clean(keeping: self.settings.recordedRuns)
                }
            }
            group.addTask {
                await self.repeatedly(every: Self.cleaningSeconds, "the idempotency keys") { () throws(StoreError) in
                    try await self.idempotency.clean(
                        keeping: self.settings.idempotencyKeys, at: Timestamp(milliseconds: wallClockMilliseconds()))
                }
            }
            group.addTask {
                await self.repeatedly(every: Self.ledgerSeconds, "the ledger") { () throws(StoreError) in
                    try await self.ledger.sweep(at: Timestamp(milliseconds: wallClockMilliseconds()), self.sessions)
                }
            }
            if let days = settings.archiveAfterDays, let archive = sessions.archive {
                group.addTask {
                    await self.repeatedly(every: Self.sweepSeconds, "the archive") { () throws(StoreError) in
                        let count = try await archive.sweep(afterDays: days, isTrial: false) { _, _, id, error in
                            guard let error else { return }
                            self.logger.warning(
                                "a session could not be archived",
                                metadata: ["session_id": "\(id)", "reason": "\(error)"])
                        }
                        if let count, count > 0 {
                            self.logger.info("sessions were archived", metadata: ["count": "\(count)"])
                        }
                    }
                }
            }
        }
    }

    private static let upkeepSeconds = 2
    private static let quietSeconds = 5
    private static let sweepSeconds = 3600
    private static let cleaningSeconds = 60
    private static let ledgerSeconds = 5

    private func repeatedly(
        every seconds: Int, _ subject: String, _ body: () async throws(StoreError) -> Void
    ) async {
        while true {
            try? await Task.sleep(for: .seconds(seconds))
            guard !Task.isCancelled else { return }
            do throws(StoreError) {
                try await body()
            } catch {
                guard !Task.isCancelled else { return }
                logger.warning("\(subject) could not be kept up; it is tried again", metadata: ["reason": "\(error)"])
            }
        }
    }

    /// Writes what is left, gives up this server's leases, and closes the connections.
    package func close() async throws(StoreError) {
        await writer.close()
        do throws(StoreError) {
            try await ledger.flush()
        } catch {
            // Their holds stand for them until they expire.
            logger.error("the last charges were not written", metadata: ["reason": "\(error)"])
        }
        await redis?.close()
        await settings.archive?.close()
        let result: Result<Void, StoreError>
        do throws(StoreError) {
            result = .success(try await servers.leave())
        } catch {
            result = .failure(error)
        }
        await reading.close()
        await pool.close()
        try result.get()
    }

    /// The number under which other servers know this one.
    var serverID: [UInt8] { servers.id }

    /// Ends as a crash would: what this server holds it goes on to hold, until its time is over.
    func abandon() async {
        await writer.close()
        await reading.close()
        await pool.close()
    }

    /// Reads that the replica has answered, and how often it was too late or did not answer.
    var readStatus: ReadPool.Status { reading.status }
}
