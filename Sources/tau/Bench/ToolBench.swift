internal import TauCore
internal import TauKit
internal import TauSystem
internal import TauTools

/// What the tools cost.
struct ToolBench {
    private let configuration: ToolsConfiguration
    private let threads = BlockingThreads(count: 8)
    private let clock = ContinuousClock()
    private static let session = SessionID(unchecked: "00000000-0000-4000-8000-000000000001")

    init(_ directory: BenchDirectory) {
        configuration = ToolsConfiguration(workspaceRoot: directory.path + "/tools")
    }

    func commands() async throws -> [Figure] {
        adoptOrphans()
        let toolbox = try await BuiltInTools.make(configuration: configuration, threads: threads)
            .toolbox(for: Self.session)
        guard let bash = toolbox["bash"] else {
            throw ConfigurationFailure(key: "bench", problem: "there is no sandbox here: GET /tools says why")
        }
        let invocation = ToolInvocation(
            callID: "call", arguments: JSONObject(members: [.init(key: "command", value: "true")]))
        for _ in 0..<20 { _ = try await bash.run(invocation) }
        var timings: [Double] = []
        for _ in 0..<300 {
            let start = clock.now
            _ = try await bash.run(invocation)
            timings.append((clock.now - start).milliseconds)
        }
        let alone = Timings(timings)
        let bare = try await CommandBench(configuration: configuration, threads: threads)
        // In turns, because these machines are not equally fast all the time.
        var ratios: [Double] = []
        var rates: [Double] = []
        for _ in 0..<5 {
            let loop = try await threads.run { () throws(SystemError) in
                try bare.bareRate(command: "true", count: 200, threads: 4)
            }
            let start = clock.now
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask { for _ in 0..<50 { _ = try await bash.run(invocation) } }
                }
                try await group.waitForAll()
            }
            rates.append(200 * 1000 / (clock.now - start).milliseconds)
            ratios.append(200 * 1000 / (clock.now - start).milliseconds / loop)
        }
        return [
            Figure("bash true in the sandbox, p50", alone.percentile(0.5), "ms", atMost: 8),
            Figure("bash true in the sandbox, p99", alone.percentile(0.99), "ms", atMost: 20),
            Figure("bash true, 4 at once", Timings(rates).percentile(0.5), "/s"),
            Figure("the same ÷ the same line in a loop of spawns", Timings(ratios).percentile(0.5), "x", atLeast: 0.8),
        ]
    }
}
