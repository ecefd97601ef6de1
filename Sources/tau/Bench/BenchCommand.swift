internal import ArgumentParser
internal import Glibc
internal import TauCore
internal import TauSystem

/// `tau bench`: the figures of the README, measured here and now.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure this machine: turns, contexts, appends, start.",
        discussion: """
            Starts servers of its own on directories of its own and removes them afterwards. Takes some minutes. With a PostgreSQL its
            tier is measured, too; `growth` only where it is asked for: it fills a database of 10,000,000 entries.
            Timings of one run are compared within that run: the disk's own rate is measured beside what depends on it.

            EXAMPLES
              tau bench
              tau bench --json > figures.json
              tau bench --only context --only open
              tau bench --only growth --postgres-url postgres://tau@127.0.0.1/postgres
            """)

    @Flag(help: "One JSON object instead of a table.")
    var json = false

    @Option(help: "Measure only this: \(BenchCommand.names.joined(separator: ", ")). May be given several times.")
    var only: [String] = []

    @Option(
        help: ArgumentHelp(
            "A PostgreSQL on which databases may be made, for `postgres` (TAU_POSTGRES_URL)", valueName: "url"))
    var postgresURL: String?

    static var redisURL: String? { getenv("TAU_REDIS_URL").map { String(cString: $0) } }
    private var url: String? { postgresURL ?? getenv("TAU_POSTGRES_URL").map { String(cString: $0) } }

    static let names = [
        "append", "context", "open", "list", "sessions", "start", "turn", "parse", "loop", "waiting", "stop", "wire",
        "tools",
        "search", "limits", "telemetry", "postgres", "tiers", "growth",
    ]

    func run() async throws {
        for name in only where !Self.names.contains(name) {
            throw ValidationError(
                "there is no measurement \"\(name)\"; there are \(Self.names.joined(separator: ", "))")
        }
        if !only.isEmpty, Set(only).isSubset(of: ["postgres", "tiers", "growth"]), url == nil {
            throw ValidationError("this needs a PostgreSQL: --postgres-url, or TAU_POSTGRES_URL")
        }
        let directory = try BenchDirectory()
        var figures: [Figure] = []
        func measure(_ name: String, _ body: () async throws -> [Figure]) async throws {
            guard only.isEmpty || only.contains(name) else { return }
            let new = try await body()
            figures += new
            if !json { for figure in new { print(figure.line) } }
        }
        try await measure("append") { try await StoreBench(directory).appends() }
        try await measure("context") { try await StoreBench(directory).contexts() }
        try await measure("open") { try await StoreBench(directory).opens() }
        try await measure("list") { try await StoreBench(directory).lists() }
        try await measure("sessions") { try await ServerBench(directory).liveSessions() }
        try await measure("start") { try await ServerBench(directory).start() }
        try await measure("turn") { try await ServerBench(directory).turns() }
        try await measure("parse") { try ModelBench().parsing() }
        try await measure("loop") { try await LoopBench().turns() }
        try await measure("waiting") { try await ServerBench(directory).waitingRuns() }
        try await measure("waiting") { try await ServerBench(directory).cancelledCommands() }
        try await measure("stop") { try await ServerBench(directory).drain() }
        try await measure("stop") { try await ServerBench(directory).restart() }
        try await measure("wire") { try await ServerBench(directory).wire() }
        try await measure("tools") { try await ToolBench(directory).commands() }
        try await measure("tools") { try await ToolBench(directory).files() }
        try await measure("search") { try await ToolBench(directory).search() }
        try await measure("limits") { try await LimitsBench(directory).callers(redisURL: Self.redisURL) }
        try await measure("limits") { try await LimitsBench(directory).ledgerOfFiles() }
        try await measure("limits") { try await ServerBench(directory).turnsWithBudgets() }
        try await measure("telemetry") { try await ServerBench(directory).turnsWithTelemetry() }
        try await measure("telemetry") { try TelemetryBench().page() }
        if let url {
            try await measure("limits") {
                try await PostgresBench(directory, url: url).withDatabase { url in
                    try await ServerBench(directory).turnsWithBudgets(url)
                }
            }
            try await measure("limits") {
                try await LimitsBench(directory).ledgerOfPostgres(PostgresBench(directory, url: url))
            }
            try await measure("postgres") { try await PostgresBench(directory, url: url).appends() }
            try await measure("postgres") { try await PostgresBench(directory, url: url).loads() }
            try await measure("postgres") { try await PostgresBench(directory, url: url).turns() }
            try await measure("tiers") { try await PostgresBench(directory, url: url).contexts() }
            try await measure("tiers") { try await PostgresBench(directory, url: url).archive() }
            if only.contains("growth") {
                try await measure("growth") { try await PostgresBench(directory, url: url).growth() }
            }
        }
        if json {
            let members = figures.map { JSONObject.Member(key: $0.name, value: $0.json) }
            print(JSONValue.object(JSONObject(members: members)).text)
        }
    }
}

/// One measured number.
struct Figure {
    var name: String
    var value: Double
    var unit: String
    /// What the project promises; nil where the number only stands beside others.
    var goal: (text: String, isMet: Bool)?

    init(_ name: String, _ value: Double, _ unit: String, atMost limit: Double? = nil, atLeast floor: Double? = nil) {
        self.name = name
        self.value = value
        self.unit = unit
        if let limit { goal = ("≤ \(Self.short(limit))", value <= limit) }
        if let floor { goal = ("≥ \(Self.short(floor))", value >= floor) }
    }

    var line: String {
        let number = Self.short(value) + " " + unit
        let verdict = goal.map { "  \($0.isMet ? "✓" : "✗") goal \($0.text)" } ?? ""
        return name.padded(to: 52) + number.padded(to: 18) + verdict
    }

    var json: JSONValue {
        var object = JSONObject(members: [
            .init(key: "value", value: .double(value)), .init(key: "unit", value: .string(unit)),
        ])
        if let goal {
            object.update("goal", to: .string(goal.text))
            object.update("met", to: .bool(goal.isMet))
        }
        return .object(object)
    }

    private static func short(_ value: Double) -> String {
        if value >= 100 { return String(Int(value.rounded())) }
        // Small numbers keep two digits that say something.
        let unit = value < 0.1 ? 10_000.0 : 100
        return JSONWriter.javaScriptNumber((value * unit).rounded() / unit)
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}

/// A directory that goes with its last reference.
final class BenchDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("./.tau-bench-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw ConfigurationFailure(
                key: "bench", problem: "cannot make a directory here: \(String(cString: strerror(errno)))")
        }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        // What cannot be removed is left: there is nobody to tell.
        try? Directory(path: path).removeContents()
        rmdir(path)
    }
}

/// Milliseconds, sorted.
struct Timings {
    private let sorted: [Double]

    init(_ milliseconds: [Double]) { sorted = milliseconds.sorted() }

    func percentile(_ share: Double) -> Double {
        sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
    }
}

extension Duration {
    var milliseconds: Double {
        Double(components.seconds) * 1000 + Double(components.attoseconds) / 1e15
    }
}
