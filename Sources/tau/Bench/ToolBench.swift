internal import Glibc
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
        let unconfined = try await time(200) {
            try await threads.run { () throws(SystemError) in
                try Self.run(["/bin/bash", "--noprofile", "--norc", "-c", "true"], in: Directory(path: "/"))
            }
        }
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
            Figure("the same without a sandbox, p50", unconfined.percentile(0.5), "ms"),
            Figure("bash true, 4 at once", Timings(rates).percentile(0.5), "/s"),
            Figure("the same ÷ the same line in a loop of spawns", Timings(ratios).percentile(0.5), "x", atLeast: 0.8),
        ]
    }
}

// MARK: Files

extension ToolBench {
    func files() async throws -> [Figure] {
        let tools = try await BuiltInTools.make(configuration: configuration, threads: threads)
        let toolbox = try await tools.toolbox(for: Self.session)
        guard let read = toolbox["read"], let write = toolbox["write"] else { return [] }
        let content = (0..<200).map { "line \($0) of a file of ten thousand bytes, more or less\n" }.joined()
        _ = try await write.run(Self.call(["path": "file", "content": .string(content)]))
        let timings = try await time(2000) { _ = try await read.run(Self.call(["path": "file"])) }
        let workspace = try Directory(path: "\(configuration.workspaceRoot)/\(Self.session.rawValue)")
        let least = try await time(2000) {
            try await threads.run { () throws(SystemError) in
                _ = try workspace.openFile(Array("file".utf8), links: .refused).readAll(limit: 1 << 20)
            }
        }
        return [
            Figure("read of 10 KB, p50", timings.percentile(0.5) * 1000, "µs", atMost: 60),
            Figure("the same: only opened and read, on another thread", least.percentile(0.5) * 1000, "µs"),
            Figure("arguments of a call checked, p50", try checking(tools), "µs", atMost: 20),
        ]
    }

    /// Microseconds for one call's arguments, over the calls that agents make most.
    private func checking(_ tools: BuiltInTools) throws -> Double {
        let edit: JSONValue = ["oldText": "let limit = 10", "newText": "let limit = 20"]
        let calls: [(String, JSONValue)] = [
            ("read", ["path": "Sources/tau/main.swift", "offset": 100, "limit": "200"]),
            ("bash", ["command": "swift build 2>&1 | tail -5", "timeout": 60]),
            ("edit", ["path": "Package.swift", "edits": [edit, edit, edit, edit, edit]]),
            ("grep", ["pattern": "func .*Limit", "path": "Sources", "glob": "*.swift", "context": 2]),
        ]
        let checks = try calls.map { name, arguments in
            let parameters = tools.listings.first { $0.definition.name == name }?.definition.parameters ?? true
            return (try ArgumentSchema(parameters, patterns: patternCompiler), arguments.object ?? JSONObject())
        }
        var timings: [Double] = []
        for _ in 0..<1000 {
            let start = clock.now
            for (schema, arguments) in checks where !schema.validate(arguments).problems.isEmpty {
                throw ConfigurationFailure(key: "bench", problem: "arguments were refused")
            }
            timings.append((clock.now - start).milliseconds * 1000 / Double(checks.count))
        }
        return Timings(timings).percentile(0.5)
    }

    func search() async throws -> [Figure] {
        let tools = try await BuiltInTools.make(configuration: configuration, threads: threads)
        let toolbox = try await tools.toolbox(for: Self.session)
        guard let grep = toolbox["grep"], let find = toolbox["find"] else { return [] }
        try makeFiles()
        let call = Self.call(["pattern": "needle [0-9]+ here", "path": "many"])
        let named = Self.call(["pattern": "*77.txt", "path": "many"])
        return try await inTurns("grep", with: "ripgrep", Self.ripgrep, atMost: 1.3) { _ = try await grep.run(call) }
            + inTurns("find", with: "fd", Self.fd, atMost: nil) { _ = try await find.run(named) }
    }

    /// What a search costs, and how that compares with a program that does the same and nothing else.
    private func inTurns(
        _ name: String, with program: String, _ words: [String], atMost goal: Double?, _ body: () async throws -> Void
    ) async throws -> [Figure] {
        var (ours, alone): ([Double], [Double]) = ([], [])
        for round in 0..<8 {
            let first = try await time(1, body).percentile(0.5)
            var isInstalled = true
            let second = try await time(1) { isInstalled = try await runAlone(words) }.percentile(0.5)
            guard round > 0 else { continue }
            ours.append(first)
            if isInstalled { alone.append(second) }
        }
        let figures = [Figure("\(name) over 100,000 files", Timings(ours).percentile(0.5), "ms")]
        guard !alone.isEmpty else { return figures }
        let ratio = Timings(zip(ours, alone).map { $0 / $1 }).percentile(0.5)
        return figures + [Figure("the same ÷ \(program) alone", ratio, "x", atMost: goal)]
    }

    private func time(_ count: Int, _ body: () async throws -> Void) async throws -> Timings {
        var timings: [Double] = []
        for _ in 0..<count {
            let start = clock.now
            try await body()
            timings.append((clock.now - start).milliseconds)
        }
        return Timings(timings)
    }

    private static func call(_ arguments: JSONValue) -> ToolInvocation {
        ToolInvocation(callID: "call", arguments: arguments.object ?? JSONObject())
    }

    /// 1,000 directories of 100 files of half a kilobyte, ten of which hold what is searched.
    private func makeFiles() throws {
        let text = (0..<10).map { "some text of line \($0), which is not what is looked for\n" }.joined()
        let root = try Directory(path: "\(configuration.workspaceRoot)/\(Self.session.rawValue)")
        try root.makeDirectory(Array("many".utf8), mode: 0o755)
        let many = try root.openDirectory(Array("many".utf8), links: .refused)
        for number in 0..<1000 {
            let name = Array("directory\(number)".utf8)
            try many.makeDirectory(name, mode: 0o755)
            let directory = try many.openDirectory(name, links: .refused)
            for file in 0..<100 {
                let needle = file == 42 && number % 100 == 0 ? "needle \(number) here\n" : ""
                try directory.createFile(Array("\(file).txt".utf8), mode: 0o644).write(Array((text + needle).utf8))
            }
        }
    }

    private static let ripgrep = [
        "/usr/bin/rg", "--json", "--no-config", "--hidden", "--no-require-git", "--regexp", "needle [0-9]+ here", "./",
    ]
    private static let fd = ["/usr/bin/fdfind", "--glob", "--hidden", "*77.txt", "."]

    /// Runs a program over the files, with nothing around it; false if it is not installed.
    private func runAlone(_ words: [String]) async throws -> Bool {
        guard access(words[0], X_OK) == 0 else { return false }
        let path = "\(configuration.workspaceRoot)/\(Self.session.rawValue)/many"
        try await threads.run { () throws(SystemError) in
            let directory = try Directory(path: path)
            try Self.run(words, in: directory)
        }
        return true
    }

    private static func run(_ words: [String], in directory: Directory) throws(SystemError) {
        let null = try Directory(path: "/dev").openFile(Array("null".utf8), links: .refused)
        var request = ChildRequest(
            executable: words[0], arguments: Array(words.dropFirst()), environment: [], output: null.number)
        request.directory = directory.descriptor.number
        _ = try ChildProcess.spawn(request).reap()
    }
}
