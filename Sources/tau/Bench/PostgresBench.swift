internal import Glibc
internal import TauCore
internal import TauKit
internal import TauPostgres
internal import TauRuntime
internal import TauStorage
internal import TauSystem

/// The PostgreSQL tier, beside what pgbench gets out of the same server in the same run.
struct PostgresBench {
    let directory: BenchDirectory
    /// A server on which databases may be made.
    private let url: String
    let clock = ContinuousClock()

    init(_ directory: BenchDirectory, url: String) {
        self.directory = directory
        self.url = url
    }

    /// Runs `body` with a database of its own.
    func withDatabase<Result>(_ body: (_ url: String) async throws -> Result) async throws -> Result {
        let name = "tau_bench_\(getpid())_\(UInt32.random(in: .min ... .max))"
        let connection = try await PostgresConnection.connect(PostgresConfiguration(url: url))
        try await connection.query(PostgresStatement("CREATE DATABASE \(name)"))
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try await body(Self.url(url, database: name)))
        } catch {
            result = .failure(error)
        }
        try await connection.query(PostgresStatement("DROP DATABASE \(name) WITH (FORCE)"))
        await connection.close()
        return try result.get()
    }

    private static func url(_ url: String, database name: String) -> String {
        guard let scheme = url.firstRange(of: "://"), let slash = url[scheme.upperBound...].firstIndex(of: "/") else {
            return url + "/" + name
        }
        let options = url[slash...].firstIndex(of: "?").map { String(url[$0...]) } ?? ""
        return url[..<slash] + "/" + name + options
    }

    // MARK: Appends

    func appends() async throws -> [Figure] {
        try await withDatabase { url in
            let storage = try PostgresStorage(PostgresTier(url: url).settings(), logger: StoreBench.logger)
            try await storage.migrate()
            try await makePgbenchTable(url)
            var sessions: [LiveSession] = []
            for number in 0..<100 { sessions.append(try await live("append-\(number)", in: storage)) }
            var many: (pgbench: [Double], tau: [Double], timings: [Double]) = ([], [], [])
            var one: (pgbench: [Double], tau: [Double]) = ([], [])
            let appending = AppendRate(clock: clock)
            // In turns, for other work on the machine slows down both.
            for _ in 0..<3 {
                let best = try [20, 50].map { try pgbench(url, clients: $0, seconds: 3) }.max() ?? 0
                many.pgbench.append(best)
                let (rate, timings) = try await appending.measure(sessions, appenders: 100, for: .seconds(3))
                many.tau.append(rate)
                many.timings += timings
                one.pgbench.append(try pgbench(url, clients: 1, seconds: 2))
                one.tau.append(try await appending.measure([sessions[0]], appenders: 1, for: .seconds(2)).perSecond)
            }
            try await storage.close()
            func ratio(_ pair: (tau: [Double], pgbench: [Double])) -> Double {
                Timings(zip(pair.tau, pair.pgbench).map { $0 / $1 }).percentile(0.5)
            }
            return [
                Figure(
                    "pgbench: one row of 500 B a commit, best of 20 and 50 clients",
                    Timings(many.pgbench).percentile(0.5), "/s"),
                Figure(
                    "PostgreSQL: 100 sessions, 100 appenders", Timings(many.tau).percentile(0.5), "/s", atLeast: 50_000),
                Figure("PostgreSQL: the same, p50", Timings(many.timings).percentile(0.5), "ms"),
                Figure("PostgreSQL: the same, p99", Timings(many.timings).percentile(0.99), "ms", atMost: 10),
                Figure("PostgreSQL: the same ÷ pgbench", ratio((many.tau, many.pgbench)), "×", atLeast: 3.5),
                Figure("pgbench: one row of 500 B a commit, 1 client", Timings(one.pgbench).percentile(0.5), "/s"),
                Figure("PostgreSQL: 1 appender", Timings(one.tau).percentile(0.5), "/s"),
                Figure("PostgreSQL: 1 appender ÷ pgbench", ratio((one.tau, one.pgbench)), "×", atLeast: 0.75),
            ]
        }
    }

    func live(_ id: String, in storage: PostgresStorage) async throws -> LiveSession {
        let file = StoreBench.session(10, id: id)
        try await storage.sessions.create(file)
        return LiveSession(
            file: file, store: storage.sessions,
            environment: RuntimeEnvironment(now: Composition.now, node: "bench", logger: StoreBench.logger))
    }

    // MARK: pgbench

    private func makePgbenchTable(_ url: String) async throws {
        let connection = try await PostgresConnection.connect(PostgresConfiguration(url: url))
        try await connection.query(
            PostgresStatement(
                """
                CREATE TABLE single (session bigint, seq bigint GENERATED ALWAYS AS IDENTITY, content text,
                    PRIMARY KEY (session, seq))
                """))
        await connection.close()
    }

    /// Transactions a second, each of one row of 500 bytes.
    private func pgbench(_ url: String, clients: Int, seconds: Int) throws -> Double {
        let text = """
            \\set session random(1, 100)
            INSERT INTO single (session, content) VALUES (:session, '\(String(repeating: "x", count: 480))');

            """
        let script = try memoryFile(Array(text.utf8))
        let pipe = try TauSystem.Pipe()
        var request = ChildRequest(
            executable: "/usr/bin/pgbench",
            arguments: [
                "-n", "-M", "prepared", "-c", "\(clients)", "-j", "2", "-T", "\(seconds)", "-f",
                "/dev/fd/3", url,
            ], environment: ["PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"], output: pipe.writing.number)
        request.inherited = [script.number]
        let child = try ChildProcess.spawn(request)
        let output = String(
            decoding: try pipe.closingWritingEnd().readAll(limit: 1 << 20) ?? [], as: UTF8.self)
        _ = child.reap()
        guard let line = output.split(separator: "\n").first(where: { $0.hasPrefix("tps = ") }),
            let rate = Double(line.dropFirst(6).prefix { $0 != " " })
        else { throw ConfigurationFailure(key: "bench", problem: "pgbench did not measure: \(output.suffix(300))") }
        return rate
    }

    // MARK: Turns

    /// Turns over HTTP with everything on these processors: clients, server, model and database; each model call held and charged.
    func turns() async throws -> [Figure] {
        try await withDatabase { url in
            let bench = ServerBench(directory)
            return try await bench.withServer(
                "postgres",
                ["TAU_STORE_KIND=postgres", "TAU_POSTGRES_URL=\(url)", "TAU_BUDGET_TOKENS=1000000000000"]
            ) { server, _, _ in
                let session = try await bench.newSession(server)
                let alone = Timings(try await bench.turns(server, session, for: .seconds(2)))
                let start = clock.now
                let crowd = try await withThrowingTaskGroup(of: [Double].self) { group in
                    for _ in 0..<100 {
                        group.addTask {
                            try await bench.turns(server, try await bench.newSession(server), for: .seconds(8))
                        }
                    }
                    return try await group.reduce(into: []) { $0 += $1 }
                }
                let rate = Double(crowd.count) / (clock.now - start).seconds
                return [
                    Figure("PostgreSQL: one turn over HTTP, 1 client, p50", alone.percentile(0.5), "ms"),
                    Figure("PostgreSQL: turns over HTTP, 100 clients, with budgets", rate, "/s", atLeast: 2000),
                    Figure(
                        "PostgreSQL: one turn over HTTP, 100 clients, p99", Timings(crowd).percentile(0.99), "ms",
                        atMost: 120),
                ]
            }
        }
    }

    // MARK: Loads

    func loads() async throws -> [Figure] {
        try await withDatabase { url in
            let storage = try PostgresStorage(PostgresTier(url: url).settings(), logger: StoreBench.logger)
            try await storage.migrate()
            let file = StoreBench.session(10_000, id: "load")
            try await storage.sessions.create(file)
            await storage.sessions.close(file.header.id)
            var timings: [Double] = []
            for _ in 0..<9 {
                let start = clock.now
                let tree = SessionTree(try await storage.sessions.open(file.header.id))
                timings.append((clock.now - start).milliseconds)
                precondition(tree.entries.count == 10_000)
                await storage.sessions.close(file.header.id)
            }
            try await storage.close()
            return [
                Figure(
                    "PostgreSQL: open of a session of 10,000 entries", Timings(timings).percentile(0.5), "ms",
                    atMost: 25)
            ]
        }
    }
}
