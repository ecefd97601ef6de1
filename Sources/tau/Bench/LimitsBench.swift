internal import TauCore
internal import TauKit
internal import TauLimits
internal import TauRedis
internal import TauStorage
internal import TauSystem

/// What it costs to know a caller, and to hold and charge what model calls use.
struct LimitsBench {
    let directory: BenchDirectory
    private let clock = ContinuousClock()

    init(_ directory: BenchDirectory) { self.directory = directory }

    private static let owner = Owner(tenantID: "bench", userID: "one")

    // MARK: Callers

    /// Key, rate limit and scope of one request, counted in memory and in Redis.
    func callers(redisURL: String?) async throws -> [Figure] {
        let accounts = AccountDatabase(
            path: directory.path + "/callers.sqlite", threads: BlockingThreads(count: 2))
        let text = APIKeyText.generate()
        try await accounts.add(User(owner: Self.owner, role: .user, createdAt: Timestamp(milliseconds: 0)))
        try await accounts.add(
            APIKey(
                id: text.id, owner: Self.owner, scopes: Role.user.scopes, digest: text.digest,
                createdAt: Timestamp(milliseconds: 0)))
        let uptime: @Sendable () -> Int64 = { Int64(monotonicMilliseconds()) }
        let authenticator = KeyAuthenticator(
            adminKey: try AdminKey(AdminKey.generate()), accounts: accounts,
            now: { Timestamp(milliseconds: wallClockMilliseconds()) }, uptime: uptime)
        let policy = RatePolicy(name: "bench", requests: 1_000_000_000, windowSeconds: 60)
        func milliseconds(_ limiter: any RateLimiter, _ count: Int) async throws -> Double {
            var times: [Double] = []
            times.reserveCapacity(count)
            for _ in 0..<count {
                let start = clock.now
                guard let principal = try await authenticator.principal(forBearer: text.text),
                    await limiter.admit(principal.owner.subject, under: policy).isAdmitted,
                    principal.scopes.isSuperset(of: .writeRuns)
                else { throw ClientError(.local, "the key was not let in") }
                times.append((clock.now - start).milliseconds)
            }
            return Timings(times).percentile(0.5)
        }
        let local = MemoryRateLimiter(maxSubjects: 1000) { uptime() * 1_000_000 }
        var figures = [
            Figure(
                "key, rate limit and scope of a request, p50", try await milliseconds(local, 100_000) * 1000, "µs",
                atMost: 30)
        ]
        if let redisURL {
            let redis = RedisClient(try RedisConfiguration(url: redisURL))
            let limiter = RedisRateLimiter(
                OptionalRedis(redis, limits: OptionalRedis.Limits()) { _ in }, local: local, share: 0.5)
            figures.append(
                Figure("the same with Redis, p50", try await milliseconds(limiter, 10_000), "ms", atMost: 0.5))
            await redis.close()
        }
        try await accounts.close()
        return figures
    }

    // MARK: Ledger

    /// Holds that are taken and settled on one account by many at once.
    func ledgerOfFiles() async throws -> [Figure] {
        let accounts = AccountDatabase(path: directory.path + "/ledger.sqlite", threads: BlockingThreads(count: 4))
        let rate = try await pairs(accounts.ledger)
        try await accounts.close()
        return [Figure("holds and charges on one account, files", rate, "pairs/s", atLeast: 1000)]
    }

    /// The same of two servers on one database.
    func ledgerOfPostgres(_ bench: PostgresBench) async throws -> [Figure] {
        try await bench.withDatabase { url in
            var tier = PostgresTier(url: url)
            tier.maxConnections = 4
            let storages = [
                try PostgresStorage(tier.settings(), logger: StoreBench.logger),
                try PostgresStorage(tier.settings(), logger: StoreBench.logger),
            ]
            try await storages[0].migrate()
            let rate = try await pairs(storages[0].ledger, storages[1].ledger)
            for storage in storages { try await storage.close() }
            return [Figure("holds and charges on one account, 2 servers, PostgreSQL", rate, "pairs/s", atLeast: 1000)]
        }
    }

    private static let clients = 64
    private static let seconds = 5

    private func pairs(_ ledgers: BatchedLedger...) async throws -> Double {
        let account = BudgetAccount(
            id: "hot", rule: BudgetRule(scope: .user, window: .month, tokens: 1 << 50),
            resetsAt: Timestamp(milliseconds: 0))
        let start = clock.now
        let end = start + .seconds(Self.seconds)
        let count = try await withThrowingTaskGroup(of: Int.self) { group in
            for client in 0..<Self.clients {
                group.addTask { [clock] in
                    let ledger = ledgers[client % ledgers.count]
                    var count = 0
                    while clock.now < end {
                        let charge = Self.charge("\(client)-\(count)")
                        let request = HoldRequest(
                            id: charge.id, accounts: [account], promptTokens: 1000, answerTokens: 1000,
                            minAnswerTokens: 256,
                            prices: TokenPrices(input: 3_000_000, output: 15_000_000, cacheRead: 0, cacheWrite: 0),
                            expiresAt: Timestamp(milliseconds: 1 << 45), charge: charge)
                        guard case .granted = try await ledger.hold(request) else {
                            throw ClientError(.local, "a hold was refused")
                        }
                        ledger.settle(charge)
                        count += 1
                    }
                    return count
                }
            }
            return try await group.reduce(0, +)
        }
        for ledger in ledgers { try await ledger.flush() }
        let seconds = (clock.now - start).milliseconds / 1000
        guard let state = try await ledgers[0].states(of: ["hot"])["hot"], state.heldTokens == 0,
            state.usedTokens == count * 1500
        else { throw ClientError(.local, "the account does not say what was used") }
        return Double(count) / seconds
    }

    private static func charge(_ id: String) -> Charge {
        var charge = Charge(
            id: id, time: Timestamp(milliseconds: 1000), owner: owner, sessionID: SessionID(unchecked: "bench"),
            model: ModelReference(provider: "bench", id: "model"))
        charge.input = 1000
        charge.output = 500
        charge.nanoDollars = 10_500_000
        return charge
    }
}
