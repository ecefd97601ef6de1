internal import AsyncHTTPClient
internal import Glibc
internal import NIOCore
internal import NIOHTTP1
internal import TauCore
internal import TauSystem

/// A real server in a process of its own, and clients that speak HTTP to it.
struct ServerBench {
    private let directory: BenchDirectory
    private let clock = ContinuousClock()
    /// Trying again is up to the measurements.
    private static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 512
        return HTTPClient(configuration: configuration)
    }()
    private static let key = "bench-key-of-at-least-sixteen-bytes"

    init(_ directory: BenchDirectory) { self.directory = directory }

    /// Runs `body` with a fresh server; gives the time until it answered as healthy beside the body's result.
    func withServer<Result>(
        _ name: String, _ variables: [String] = [],
        _ body: (_ url: String, _ process: pid_t, _ healthyAfter: Duration) async throws -> Result
    ) async throws -> Result {
        let port = try Self.freePort()
        let url = "http://127.0.0.1:\(port)"
        let start = clock.now
        let process = try spawn(port: port, data: directory.path + "/" + name, variables)
        defer {
            kill(process, SIGTERM)
            var status: Int32 = 0
            waitpid(process, &status, 0)
        }
        while (try? await status("\(url)/health")) != 200 {
            guard clock.now - start < .seconds(20) else {
                throw ConfigurationFailure(key: "bench", problem: "the server did not start on port \(port)")
            }
            try await Task.sleep(for: .milliseconds(1))
        }
        return try await body(url, process, clock.now - start)
    }

    /// A port of the loopback that nobody has now.
    private static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 && getsockname(descriptor, pointer, &length) == 0
            }
        }
        guard isBound else { throw ConfigurationFailure(key: "bench", problem: "there is no free port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    private func spawn(port: Int, data: String, _ more: [String]) throws -> pid_t {
        let arguments = ["tau", "serve", "--port", String(port), "--data-dir", data]
        var pointers = arguments.map { strdup($0) } + [nil]
        var variables = [
            "TAU_AUTH_ADMIN_KEY": Self.key, "TAU_LIMITS_REQUESTS": "0", "TAU_BUDGET_TOKENS": "0",
            "TAU_LOG_LEVEL": "error",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
        ]
        for line in more {
            let parts = line.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
        }
        var environment = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in pointers + environment { free(pointer) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        var process: pid_t = 0
        let code = posix_spawn(&process, "/proc/self/exe", &actions, nil, &pointers, &environment)
        guard code == 0 else {
            throw ConfigurationFailure(
                key: "bench", problem: "cannot start a server: \(String(cString: strerror(code)))")
        }
        return process
    }

    private func status(_ url: String) async throws -> Int {
        let response = try await Self.http.execute(HTTPClientRequest(url: url), timeout: .seconds(1))
        for try await _ in response.body {}
        return Int(response.status.code)
    }

    // MARK: Start

    func start() async throws -> [Figure] {
        var times: [Double] = []
        var memory = 0.0
        for number in 0..<5 {
            let (milliseconds, megabytes) = try await withServer("start\(number)") { _, process, healthyAfter in
                // Idle means: after what the start itself set in motion.
                try await Task.sleep(for: .milliseconds(500))
                return (healthyAfter.milliseconds, Self.residentMegabytes(process))
            }
            times.append(milliseconds)
            memory = max(memory, megabytes)
        }
        return [
            Figure("start until /health answers (median of 5)", Timings(times).percentile(0.5), "ms", atMost: 100),
            Figure("idle memory (resident, worst of 5)", memory, "MB", atMost: 40),
        ]
    }

    static func residentMegabytes(_ process: pid_t) -> Double {
        guard let file = fopen("/proc/\(process)/status", "r") else { return 0 }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 8192)
        let text = String(decoding: buffer[..<fread(&buffer, 1, buffer.count, file)], as: UTF8.self)
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return (line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Double($0) } ?? 0)
            / 1024
    }

    // MARK: Live sessions

    /// What a server needs for a thousand sessions in memory, each of twenty turns.
    func liveSessions() async throws -> [Figure] {
        let (count, entries) = (1000, 40)
        let sessions = directory.path + "/live/sessions"
        guard mkdir(directory.path + "/live", 0o700) == 0, mkdir(sessions, 0o700) == 0 else {
            throw ConfigurationFailure(key: "bench", problem: "cannot make \(sessions)")
        }
        let folder = try Directory(path: sessions)
        for number in 0..<count {
            let file = try folder.createFile(Array("live-\(number).jsonl".utf8), mode: 0o600)
            try file.write(StoreBench.session(entries, id: "live-\(number)").bytes)
        }
        return try await withServer("live") { url, process, _ in
            for number in 0..<count {
                var request = HTTPClientRequest(url: "\(url)/api/agent/v1/sessions/live-\(number)")
                request.headers.add(name: "Authorization", value: "Bearer \(Self.key)")
                let response = try await Self.http.execute(request, timeout: .seconds(10))
                guard response.status == .ok else {
                    throw ConfigurationFailure(key: "bench", problem: "a session did not open: \(response.status)")
                }
                for try await _ in response.body {}
            }
            return [
                Figure(
                    "memory with \(count) live sessions of \(entries) entries", Self.residentMegabytes(process), "MB",
                    atMost: 100)
            ]
        }
    }

    // MARK: Turns

    /// One turn: a message goes in over HTTP, the scripted model answers at once, both are on disk, the stream ends.
    func turns() async throws -> [Figure] {
        try await withServer("turn") { url, _, _ in
            let session = try await newSession(url)
            _ = try await turns(url, session, for: .milliseconds(500))
            let alone = Timings(try await turns(url, session, for: .seconds(3)))
            let start = clock.now
            let crowd = try await withThrowingTaskGroup(of: [Double].self) { group in
                for _ in 0..<32 {
                    group.addTask { try await turns(url, try await newSession(url), for: .seconds(5)) }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            let rate = Double(crowd.count) / (clock.now - start).seconds
            return [
                Figure("one turn over HTTP, 1 client, p50", alone.percentile(0.5), "ms", atMost: 3),
                Figure("one turn over HTTP, 1 client, p99", alone.percentile(0.99), "ms"),
                Figure("turns over HTTP, 32 clients", rate, "/s", atLeast: 800),
                Figure("one turn over HTTP, 32 clients, p99", Timings(crowd).percentile(0.99), "ms"),
            ]
        }
    }

    func post(_ url: String, _ body: JSONValue, accept: String) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "Authorization", value: "Bearer \(Self.key)")
        request.headers.add(name: "Accept", value: accept)
        request.body = .bytes(ByteBuffer(bytes: body.serialized))
        return request
    }

    func answer(_ request: HTTPClientRequest) async throws -> ByteBuffer {
        let response = try await Self.http.execute(request, timeout: .seconds(30))
        return try await response.body.collect(upTo: 1 << 20)
    }

    /// Opens the stream of a run's events.
    func follow(_ run: String, _ url: String) async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: "\(url)/api/agent/v1/runs/\(run)/events")
        request.headers.add(name: "Authorization", value: "Bearer \(Self.key)")
        request.headers.add(name: "Accept", value: "text/event-stream")
        return try await Self.http.execute(request, timeout: .seconds(60))
    }

    /// A place for a script of the scripted model.
    var scriptPath: String { directory.path + "/script.json" }

    func newSession(_ url: String) async throws -> String {
        let body = try await answer(post("\(url)/api/agent/v1/sessions", [:], accept: "application/json"))
        return try JSONValue(parsing: body.readableBytesView)["id"]?.string ?? ""
    }

    /// Whether a run's last event says that it is done; the clients share the processors with what is measured.
    private static func hasCompleted(_ events: ByteBuffer) -> Bool {
        let status = Array(#""status":"completed""#.utf8)
        let end = events.readableBytesView.suffix(1024)
        return end.indices.contains { end[$0] == status[0] && end[$0...].starts(with: status) }
    }

    /// The milliseconds of each turn; a new session every hundred turns keeps the context short.
    func turns(_ url: String, _ first: String, for duration: Duration) async throws -> [Double] {
        var session = first
        var timings: [Double] = []
        let start = clock.now
        while clock.now - start < duration {
            if timings.count % 100 == 99 { session = try await newSession(url) }
            let request = post(
                "\(url)/api/agent/v1/sessions/\(session)/runs", ["message": "Hello there."], accept: "text/event-stream"
            )
            let before = clock.now
            let body = try await answer(request)
            timings.append((clock.now - before).milliseconds)
            guard Self.hasCompleted(body) else {
                throw ConfigurationFailure(key: "bench", problem: "a turn failed: \(String(buffer: body).suffix(300))")
            }
        }
        return timings
    }
}
