internal import Glibc
internal import TauCore
internal import TauRuntime
internal import TauStorage

/// Durable appends, beside what the disk itself does.
extension StoreBench {
    func appends() async throws -> [Figure] {
        let store = try store("append")
        let appending = AppendRate(clock: clock)
        var figures: [Figure] = []
        // In turns, for other work on the machine slows down both.
        var disk: [Double] = []
        var sequential: [Double] = []
        let session = try await live("sequential", in: store, entries: 10)
        for _ in 0..<5 {
            disk.append(try diskRate())
            sequential.append(try await appending.measure([session], appenders: 1).perSecond)
        }
        let ratios = Timings(zip(sequential, disk).map { $0 / $1 })
        let single = Timings(disk).percentile(0.5)
        figures.append(Figure("disk: 500 B at the end of a file + fdatasync", single, "/s"))
        figures.append(Figure("append, durable: 1 session, 1 appender", Timings(sequential).percentile(0.5), "/s"))
        figures.append(
            Figure("append: 1 appender ÷ disk (median of 5)", ratios.percentile(0.5), "×", atLeast: 0.85))

        let short = try await appending.measure([try await live("short", in: store, entries: 10)], appenders: 1)
        let long = try await appending.measure([try await live("long", in: store, entries: 100_000)], appenders: 1)
        figures.append(
            Figure(
                "append: session of 100,000 entries ÷ of 10", long.perSecond / short.perSecond, "×", atLeast: 0.8))

        let shared = try await appending.measure([session], appenders: 100)
        figures.append(
            Figure("append, durable: 1 session, 100 appenders", shared.perSecond, "/s", atLeast: 70_000))
        var many: [LiveSession] = []
        for number in 0..<100 { many.append(try await live("many-\(number)", in: store, entries: 10)) }
        let spread = try await appending.measure(many, appenders: 100, for: .seconds(4))
        figures.append(
            Figure("append, durable: 100 sessions, 100 appenders", spread.perSecond, "/s", atLeast: 70_000))
        figures.append(Figure("append: the same, p50", Timings(spread.timings).percentile(0.5), "ms"))
        figures.append(Figure("append: the same, p99", Timings(spread.timings).percentile(0.99), "ms", atMost: 5))
        figures.append(Figure("append: the same ÷ disk", spread.perSecond / single, "×", atLeast: 7))
        return figures
    }

    /// What the disk itself does in half a second.
    private func diskRate() throws -> Double {
        let path = directory.path + "/disk"
        let file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        guard file >= 0 else { throw ConfigurationFailure(key: "bench", problem: "cannot write \(path)") }
        defer { close(file) }
        let bytes = [UInt8](repeating: 0x78, count: 500)
        var count = 0
        let start = clock.now
        while clock.now - start < .seconds(0.5) {
            guard write(file, bytes, bytes.count) == bytes.count, fdatasync(file) == 0 else { break }
            count += 1
        }
        return Double(count) / (clock.now - start).seconds
    }

    func live(_ id: String, in store: JSONLSessionStore, entries count: Int) async throws -> LiveSession {
        let file = Self.session(count, id: id)
        try await store.create(file)
        return LiveSession(
            file: file, store: store,
            environment: RuntimeEnvironment(now: Composition.now, node: "bench", logger: Self.logger))
    }
}

/// Appends by several at once.
struct AppendRate {
    let clock: ContinuousClock

    /// Each appender appends one entry of some 500 bytes after the other, all for the same time.
    func measure(
        _ sessions: [LiveSession], appenders: Int, for time: Duration = .seconds(1)
    ) async throws -> (perSecond: Double, timings: [Double]) {
        let text = String(repeating: "x", count: 330)
        let start = clock.now
        let timings = try await withThrowingTaskGroup(of: [Double].self) { group in
            for number in 0..<appenders {
                let session = sessions[number % sessions.count]
                group.addTask { [clock] in
                    var timings: [Double] = []
                    var now = start
                    while now - start < time {
                        let message = UserMessage(content: [.text(text)], timestamp: Composition.now())
                        _ = try await session.append([.message(.user(message))])
                        let end = clock.now
                        timings.append((end - now).milliseconds)
                        now = end
                    }
                    return timings
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        return (Double(timings.count) / (clock.now - start).seconds, timings)
    }
}
