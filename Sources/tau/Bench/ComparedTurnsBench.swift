internal import TauCore

extension ServerBench {
    /// What holding and charging every model call leaves of the turns.
    func turnsWithBudgets(_ url: String? = nil) async throws -> [Figure] {
        let store = url.map { ["TAU_STORE_KIND=postgres", "TAU_POSTGRES_URL=\($0)"] } ?? []
        return try await comparedTurns(
            "budgets" + (url == nil ? "" : ", PostgreSQL"), without: store + ["TAU_BUDGET_TOKENS=0"],
            with: store + ["TAU_BUDGET_TOKENS=1000000000000"])
    }

    /// What logs, metrics and traces leave of the turns.
    func turnsWithTelemetry() async throws -> [Figure] {
        let receiver = try await BenchPeer(.receiver)
        let figures = try await comparedTurns(
            "telemetry", without: ["TAU_METRICS_ENABLED=false"],
            with: [
                "TAU_LOG_LEVEL=info", "TAU_LOG_DIR=\(scriptPath).log",
                "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:\(receiver.port)", "OTEL_BSP_MAX_QUEUE_SIZE=65536",
            ], atLeast: 0.95)
        try await receiver.shutdown()
        return figures
    }

    /// Turns of 32 clients with servers of two kinds, by turns, so that what else the machine does counts for both.
    private func comparedTurns(
        _ name: String, without: [String], with: [String], atLeast: Double? = nil
    ) async throws -> [Figure] {
        var rates: [[Double]] = [[], []]
        for round in 0..<5 {
            for (place, variables) in [without, with].enumerated() {
                try await withServer("compared-\(name.count)-\(round)-\(place)", variables) { url, _, _ in
                    rates[place].append(try await turnRate(url, for: .seconds(3)))
                }
            }
        }
        let ratios = zip(rates[0], rates[1]).map { $1 / $0 }.sorted()
        return [
            Figure("turns over HTTP, 32 clients, with \(name)", rates[1].max() ?? 0, "/s"),
            Figure("the same ÷ without (median of \(ratios.count))", ratios[ratios.count / 2], "", atLeast: atLeast),
        ]
    }

    private func turnRate(_ url: String, for duration: Duration) async throws -> Double {
        let start = ContinuousClock.now
        let count = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<32 {
                group.addTask { try await turns(url, try await newSession(url), for: duration).count }
            }
            return try await group.reduce(0, +)
        }
        return Double(count) / (ContinuousClock.now - start).seconds
    }
}
