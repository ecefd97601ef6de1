internal import Glibc
internal import TauCore
internal import TauKit
internal import TauPostgres
internal import TauStorage

/// The cache, the archive, and what becomes slower as the tables grow.
extension PostgresBench {
    func withStorage<Result>(
        _ change: (inout PostgresTier) -> Void = { _ in }, _ body: (PostgresStorage, String) async throws -> Result
    ) async throws -> Result {
        try await withDatabase { url in
            var tier = PostgresTier(url: url)
            change(&tier)
            let storage = try PostgresStorage(try tier.settings(), logger: StoreBench.logger)
            try await storage.migrate()
            let result = try await body(storage, url)
            try await storage.close()
            return result
        }
    }

    // MARK: Contexts

    /// Contexts of sessions that nobody has open, of a branch of 40 messages.
    func contexts() async throws -> [Figure] {
        let file = StoreBench.session(40, id: "context")
        func median(_ storage: PostgresStorage) async throws -> Double {
            try await storage.sessions.create(file)
            _ = try await storage.sessions.list(SessionQuery())
            _ = try await storage.sessions.context(of: file.header.id, leaf: nil)
            var timings: [Double] = []
            for _ in 0..<500 {
                let start = clock.now
                let context = await storage.sessions.cachedContext(of: file.header.id, leaf: file.entries[39].id)
                precondition(context != nil)
                timings.append((clock.now - start).milliseconds)
            }
            return Timings(timings).percentile(0.5)
        }
        var figures = [
            Figure(
                "context through the cache: in memory, p50",
                try await withStorage { storage, _ in try await median(storage) }, "ms", atMost: 0.1)
        ]
        if let redis = BenchCommand.redisURL {
            let inRedis = try await withStorage {
                $0.redisURL = redis
                $0.contextBytes = 0
            } _: { storage, _ in
                try await median(storage)
            }
            figures.append(Figure("context through the cache: in Redis, p50", inRedis, "ms", atMost: 1))
        }
        return figures
    }

    // MARK: The archive

    func archive() async throws -> [Figure] {
        let path = directory.path + "/bucket"
        return try await withStorage {
            var resolved = [CChar](repeating: 0, count: Int(PATH_MAX))
            let root = realpath(directory.path, &resolved).map { String(cString: $0) } ?? directory.path
            $0.archiveURL = "file://" + root + "/bucket"
        } _: { storage, _ in
            let file = StoreBench.session(100_000, id: "archive")
            let megabytes = Double(file.bytes.count) / 1e6
            try await storage.sessions.create(file)
            await storage.sessions.close(file.header.id)
            _ = try await storage.sessions.list(SessionQuery())
            guard let archive = storage.archive else { return [] }
            let start = clock.now
            try await archive.archive(file.header.id)
            let archived = clock.now
            try await archive.restore(file.header.id)
            let restored = clock.now
            precondition(access(path, F_OK) == 0)
            return [
                Figure("archive to a directory", megabytes / (archived - start).seconds, "MB/s", atLeast: 50),
                Figure("restore from a directory", megabytes / (restored - archived).seconds, "MB/s", atLeast: 50),
            ]
        }
    }

    // MARK: Growth

    /// A page of the list, a search and appends, with 100,000 entries in the tables and with a hundred times as many. Takes minutes.
    func growth() async throws -> [Figure] {
        var figures: [Figure] = []
        for sessions in [100, 10_000] {
            figures += try await withStorage { storage, url in
                try await Self.fill(url, sessions: sessions)
                let entries = sessions * 1000
                func median(_ body: () async throws -> Void) async throws -> Double {
                    var timings: [Double] = []
                    for _ in 0..<30 {
                        let start = clock.now
                        try await body()
                        timings.append((clock.now - start).milliseconds)
                    }
                    return Timings(timings).percentile(0.5)
                }
                let list = try await median { _ = try await storage.sessions.list(SessionQuery()) }
                let search = try await median {
                    let found = try await storage.sessions.list(SessionQuery(search: "needle42 hay"))
                    precondition(!found.sessions.isEmpty)
                }
                let session = try await live("growth", in: storage)
                let rate = try await AppendRate(clock: clock).measure([session], appenders: 1, for: .seconds(2))
                return [
                    Figure("\(entries) entries: a page of the list", list, "ms"),
                    Figure("\(entries) entries: a search", search, "ms"),
                    Figure("\(entries) entries: 1 appender", rate.perSecond, "/s"),
                ]
            }
        }
        return figures
    }

    /// Sessions of 1,000 entries each, every hundredth session with a word that is searched.
    private static func fill(_ url: String, sessions: Int) async throws {
        var configuration = PostgresConfiguration(url: url)
        configuration.queryTimeoutMilliseconds = 3_600_000
        let connection = try await PostgresConnection.connect(configuration)
        let key = "md5('s' || s)::uuid"
        for statement in [
            """
            INSERT INTO sessions (id, public_id, header, created_at, updated_at, totals, cataloged_lines)
            SELECT \(key), 's' || s, '{}', s, s, '{"entryCount":1000}', 1001 FROM generate_series(1, \(sessions)) AS s
            """,
            """
            INSERT INTO session_heads (session_id, line_count, byte_count, is_stale)
            SELECT \(key), 1001, 300000, false FROM generate_series(1, \(sessions)) AS s
            """,
            """
            INSERT INTO session_entries (session_id, line, entry_id, parent_id, timestamp, type, content, metadata)
            SELECT \(key), 1 + e, to_hex(e), to_hex(e - 1), s * 1000 + e, 'message', repeat('x', 300), '{"role":"user"}'
            FROM generate_series(1, \(sessions)) AS s, generate_series(1, 1000) AS e
            """,
            """
            INSERT INTO session_texts (session_id, line, text)
            SELECT \(key), 1 + e, 'word' || e || ' hay' || s || CASE WHEN s % 100 = 42 THEN ' needle42' ELSE '' END
            FROM generate_series(1, \(sessions)) AS s, generate_series(1, 1000) AS e
            """, "ANALYZE",
        ] { try await connection.query(PostgresStatement(statement)) }
        await connection.close()
    }
}
