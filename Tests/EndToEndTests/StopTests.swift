import Foundation
import Synchronization
import TauCore
import TauTestKit
import Testing

/// Servers that are stopped, politely or not, at any moment under load.
@Suite(.ownThreads, .timeLimit(.minutes(15))) struct StopTests {
    /// Entries that a client was told to be durable, by session.
    private final class Acknowledged: Sendable {
        private let entries = Mutex<[String: [String]]>([:])
        func add(_ entry: String, _ session: String) { entries.withLock { $0[session, default: []].append(entry) } }
        var all: [String: [String]] { entries.withLock { $0 } }
        var count: Int { entries.withLock { $0.values.reduce(0) { $0 + $1.count } } }
    }

    /// One client's runs on one session, until the server is gone.
    private static func work(_ url: String, _ key: String, _ session: String, _ number: Int, _ seen: Acknowledged) async
    {
        let client = APIClient(url: url, key: key)
        do {
            var turn = number
            while true {
                turn += 1
                let message = turn % 3 == 0 ? #"Use bash with command="sleep 0.02"."# : "Hello \(turn)."
                _ = try await client.events("POST", "/sessions/\(session)/runs", ["message": .string(message)]) {
                    event in
                    if event.type == "entry_appended", let id = event.data["entry"]?["id"]?.string {
                        seen.add(id, session)
                    }
                    return true
                }
            }
        } catch {
            // It was stopped.
        }
    }

    private static let chains = 4
    private static let rounds = 50

    @Test(arguments: 0..<chains) func `nothing acknowledged is lost, and every start finds all in order`(
        _ chain: Int
    ) async throws {
        let directory = try TemporaryDirectory()
        let seen = Acknowledged()
        var random = SeededGenerator(seed: UInt64(chain))
        var sessions: [String] = []
        let environment = ["TAU_HTTP_DRAIN_SECONDS": "1"]
        for round in 0..<Self.rounds {
            let server = try TauProcess(in: directory, environment: environment)
            while sessions.count < 4 { sessions.append(try await APIClient(server).newSession()) }
            let goal = seen.count + Int.random(in: 0...40, using: &random)
            let isKill = Bool.random(using: &random)
            let isImpatient = !isKill && Int.random(in: 0..<4, using: &random) == 0
            await withTaskGroup(of: Void.self) { group in
                for (number, session) in sessions.enumerated() {
                    group.addTask { await Self.work(server.url, server.key, session, number, seen) }
                }
                group.addTask {
                    let deadline = ContinuousClock.now + .seconds(10)
                    while seen.count < goal, ContinuousClock.now < deadline { await Task.yield() }
                    server.send(isKill ? SIGKILL : SIGTERM)
                    if isImpatient { server.send(SIGTERM) }
                }
            }
            let code = server.waitForEnd()
            #expect(code == (isKill ? -SIGKILL : 0), "round \(round): \(server.log.suffix(2000))")
            guard round % 10 == 9 else { continue }
            let check = try TauProcess.command(
                ["store", "check", "--data-dir", directory.path + "/data"], in: directory.path)
            #expect(check.code == 0, "round \(round): \(check.output) \(check.errors)")
        }
        let server = try TauProcess(in: directory, environment: environment)
        let client = APIClient(server)
        for (session, entries) in seen.all {
            let file = String(decoding: try await client.send("GET", "/sessions/\(session)/export").body, as: UTF8.self)
            for entry in entries { #expect(file.contains(#""id":"\#(entry)""#), "\(entry) of \(session) is lost") }
            #expect(try await client.get("/sessions/\(session)")["activeRunId"] == .null)
            #expect(try await client.run("Still there?", in: session).finalStatus == "completed")
            // No call is left without its result.
            let messages = try await client.get("/sessions/\(session)/context")["messages"]?.array ?? []
            let calls = messages.filter { $0["stopReason"] == "toolUse" }.flatMap { $0["content"]?.array ?? [] }
                .filter { $0["type"] == "toolCall" }.compactMap { $0["id"]?.string }
            let answered = Set(messages.compactMap { $0["toolCallId"]?.string })
            #expect(!calls.isEmpty && calls.allSatisfy(answered.contains))
        }
        #expect(seen.count > 100)
        server.stop()
    }

    @Test func `a crowd of streams and runs is told to go, and goes`() async throws {
        let directory = try TemporaryDirectory()
        let script = #"{"replies": [{"content": "Too late.", "delayMs": 600000}]}"#
        try Data(script.utf8).write(to: URL(fileURLWithPath: directory.path + "/script.json"))
        let server = try TauProcess(
            in: directory,
            environment: ["TAU_MODELS_SCRIPT": directory.path + "/script.json", "TAU_HTTP_DRAIN_SECONDS": "2"])
        let client = APIClient(server)
        var runs: [(id: String, session: String)] = []
        for number in 0..<50 {
            let session = try await client.newSession()
            let run = try await client.send("POST", "/sessions/\(session)/runs", ["message": .string("Run \(number)")])
                .json
            runs.append((try #require(run["id"]?.string), session))
        }
        let open = Acknowledged()
        let ends = try await withThrowingTaskGroup(of: String?.self) { group in
            for run in runs {
                for _ in 0..<4 {
                    group.addTask {
                        try await client.events("GET", "/runs/\(run.id)/events") { event in
                            if event.type == "run_state" { open.add("stream", run.id) }
                            return true
                        }.finalStatus
                    }
                }
            }
            let deadline = ContinuousClock.now + .seconds(60)
            while open.count < 200, ContinuousClock.now < deadline { await Task.yield() }
            server.send(SIGTERM)
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(server.waitForEnd() == 0)
        #expect(ends.count == 200 && ends.allSatisfy { $0 == "interrupted" }, "\(Set(ends.map { $0 ?? "none" }))")
        let again = try TauProcess(in: directory)
        for run in runs {
            #expect(try await APIClient(again).get("/runs/\(run.id)")["status"] == "interrupted")
            let messages = try await APIClient(again).get("/sessions/\(run.session)/context")["messages"]?.array ?? []
            #expect(messages.first?["role"] == "user")
        }
        again.stop()
    }

    @Test func `systemd hears when it is ready, that it lives, and when it stops`() throws {
        let directory = try TemporaryDirectory()
        let socket = try NotifySocket(directory.path + "/notify")
        let server = try TauProcess(
            in: directory, environment: ["NOTIFY_SOCKET": socket.path, "WATCHDOG_USEC": "300000"])
        var heard: [String] = []
        while !heard.contains("READY=1") || heard.filter({ $0 == "WATCHDOG=1" }).count < 3 {
            heard.append(try #require(socket.next()))
        }
        server.send(SIGTERM)
        while heard.last != "STOPPING=1" { heard.append(try #require(socket.next())) }
        #expect(server.waitForEnd() == 0)
    }
}

/// What systemd listens on.
private final class NotifySocket: Sendable {
    let path: String
    private let descriptor: Int32

    init(_ path: String) throws {
        self.path = path
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        self.descriptor = descriptor
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        #expect(result == 0)
        var patience = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// The next message; nil where none comes for long.
    func next() -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count > 0 ? String(decoding: buffer.prefix(count), as: UTF8.self) : nil
    }
}
