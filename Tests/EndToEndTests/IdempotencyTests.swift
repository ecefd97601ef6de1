import Foundation
import NIOHTTP1
import Synchronization
import TauCore
import TauTestKit
import Testing

/// Requests with an idempotency key are carried out once: however often they are sent, on whichever server, and whoever dies.
@Suite(.ownThreads, .timeLimit(.minutes(5))) struct IdempotencyTests {
    private static func users(_ client: APIClient, _ session: String) async throws -> [JSONValue] {
        let answer = try await client.send("GET", "/sessions/\(session)/entries?limit=200")
        #expect(answer.status == 200, "\(answer.json)")
        return (answer.json["data"]?.array ?? []).filter { $0["message"]?["role"] == "user" }
    }

    @Test func `a hundred tries at once make one run, and another body is refused`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let path = "/sessions/\(try await client.newSession())/runs"
        let answers = try await withThrowingTaskGroup(of: [UInt8].self) { group in
            for _ in 0..<100 {
                group.addTask {
                    try await client.send("POST", path, ["message": "once"], headers: ["Idempotency-Key": "k1"]).body
                }
            }
            return try await group.reduce(into: Set<[UInt8]>()) { $0.insert($1) }
        }
        #expect(answers.count == 1)
        let other = try await client.send("POST", path, ["message": "twice"], headers: ["Idempotency-Key": "k1"])
        #expect(other.status == 409)
        #expect(other.code == "idempotency_mismatch")
        #expect(try await Self.users(client, String(path.split(separator: "/")[1])).count == 1)
    }

    @Test func `a key is 1 to 255 visible characters, and is one user's`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        for key in ["", String(repeating: "k", count: 256), "a b", "caf\u{E9}"] {
            let answer = try await client.send("POST", "/sessions", [:], headers: ["Idempotency-Key": key])
            #expect(answer.code == "bad_request", "\(key)")
        }
        var made: Set<String> = []
        for user in ["alice", "bob"] {
            _ = try await client.send("POST", "/admin/users", ["id": .string(user)])
            let key = try await client.send("POST", "/admin/keys", ["userId": .string(user)]).json["key"]?.string
            for _ in 0..<2 {
                let answer = try await APIClient(server, key: key ?? "").send(
                    "POST", "/sessions", [:], headers: ["Idempotency-Key": String(repeating: "k", count: 255)])
                #expect(answer.status == 201)
                made.insert(answer.json["id"]?.string ?? "")
            }
        }
        #expect(made.count == 2)
    }

    @Test func `answers are given again after a restart, except secret ones, which are never stored`() async throws {
        let directory = try TemporaryDirectory()
        var server = try TauProcess(in: directory)
        var client = APIClient(server)
        func ask(_ path: String, _ key: String, _ body: JSONValue) async throws -> APIClient.Answer {
            try await client.send("POST", path, body, headers: ["Idempotency-Key": key])
        }
        let session = try await ask("/sessions", "s", ["name": "Caf\u{E9} \u{1F511}"])
        let id = try #require(session.json["id"]?.string)
        let run = try await ask("/sessions/\(id)/runs", "r", ["message": "Hi"])
        let stream = try await client.send(
            "POST", "/sessions/\(id)/runs", ["message": "Hi", "ifBusy": "followUp"],
            headers: ["Idempotency-Key": "e", "Accept": "text/event-stream"])
        #expect(stream.status == 200)
        let secret = try await ask("/admin/keys", "k", ["userId": "admin"])
        #expect(secret.status == 201)
        #expect(try await ask("/admin/keys", "k", ["userId": "admin"]).body == secret.body)
        server.send(SIGKILL)
        server.waitForEnd()
        server = try TauProcess(in: directory)
        client = APIClient(server)
        defer { server.stop() }
        let sessionAgain = try await ask("/sessions", "s", ["name": "Caf\u{E9} \u{1F511}"])
        #expect(sessionAgain.status == 201 && sessionAgain.body == session.body)
        #expect(sessionAgain.headers.first(name: "Location") == session.headers.first(name: "Location"))
        let runAgain = try await ask("/sessions/\(id)/runs", "r", ["message": "Hi"])
        #expect(runAgain.status == 202 && runAgain.body == run.body)
        // Its events are forgotten; how it ended is not.
        let streamAgain = try await client.send(
            "POST", "/sessions/\(id)/runs", ["message": "Hi", "ifBusy": "followUp"],
            headers: ["Idempotency-Key": "e", "Accept": "text/event-stream"])
        #expect(String(decoding: streamAgain.body, as: UTF8.self).contains("\"type\":\"run_state\""))
        let users = try await Self.users(client, id).count
        #expect(users == 2)
        let secretAgain = try await ask("/admin/keys", "k", ["userId": "admin"])
        #expect(secretAgain.code == "conflict")
        #expect(try await client.get("/admin/keys")["data"]?.array?.count == 1)
        guard TestDatabase.isOfFiles else { return }
        let text = try #require(secret.json["key"]?.string)
        let files = try FileManager.default.contentsOfDirectory(atPath: directory.path + "/data")
        for file in files where file.hasPrefix("accounts.sqlite") {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: directory.path + "/data/" + file))
            #expect(bytes.range(of: Data(text.utf8)) == nil, "\(file)")
        }
    }

    @Test func `two servers carry a request out once`() async throws {
        let database = try TemporaryDirectory()
        let variables = try TestDatabase.variables(for: database)
        let servers = [try TauProcess(environment: variables), try TauProcess(environment: variables)]
        defer { for server in servers { server.stop() } }
        let clients = servers.map { APIClient($0) }
        let session = try await clients[0].newSession()
        let runs = try await withThrowingTaskGroup(of: String.self) { group in
            for number in 0..<40 {
                group.addTask {
                    // The other one may be at it: then it says when to ask again.
                    while true {
                        let answer = try await clients[number % 2].send(
                            "POST", "/sessions/\(session)/runs", ["message": "once"],
                            headers: ["Idempotency-Key": "k1"])
                        if let id = answer.json["id"]?.string { return id }
                        guard answer.status == 409, answer.headers.first(name: "Retry-After") == "1" else {
                            Issue.record("\(answer.json)")
                            return ""
                        }
                    }
                }
            }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(runs.count == 1)
        #expect(try await Self.users(clients[1], session).count == 1)
    }

    // MARK: Servers that die

    /// One message that a client sends until it has the answer.
    private struct Message: Sendable {
        var session: String
        var text: String
        var run: String?
    }

    /// Sends messages with keys, each until it is answered or the server is gone; the unanswered ones come back.
    private static func work(
        _ server: TauProcess, _ messages: [Message], answered: @escaping @Sendable () -> Void
    ) async -> [Message] {
        let client = APIClient(server)
        let deadline = ContinuousClock.now + .seconds(20)
        return await withTaskGroup(of: Message.self) { group in
            for message in messages {
                group.addTask {
                    var message = message
                    var status = 0
                    repeat {
                        let answer = try? await client.send(
                            "POST", "/sessions/\(message.session)/runs", ["message": .string(message.text)],
                            headers: ["Idempotency-Key": message.text])
                        status = answer?.status ?? 0
                        message.run = status == 202 ? answer?.json["id"]?.string : nil
                    } while (status == 409 || status == 503) && ContinuousClock.now < deadline
                    if message.run != nil { answered() }
                    return message
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
    }

    private static let rounds = 8
    private static let messages = 24

    @Test(arguments: [1, 2]) func `a message is in its session once, whoever dies`(_ count: Int) async throws {
        let database = try TemporaryDirectory()
        let variables = count == 1 ? [:] : try TestDatabase.variables(for: database)
        let directories = try (0..<count).map { _ in try TemporaryDirectory() }
        var random = SeededGenerator(seed: UInt64(40 + count))
        var open: [Message] = []
        var done: [Message] = []
        for round in 0..<Self.rounds {
            let servers = try directories.map { try TauProcess(in: $0, environment: variables) }
            let setUp = APIClient(servers[0])
            while open.count < Self.messages {
                let session = try await setUp.newSession()
                open.append(Message(session: session, text: "round-\(round)-\(open.count)"))
            }
            // Killed after a random number of answers.
            let left = Mutex(Int.random(in: 0...Self.messages / 2, using: &random))
            let answered: @Sendable () -> Void = {
                let isOver = left.withLock { left in
                    left -= 1
                    return left == 0
                }
                if isOver { for server in servers { server.send(SIGKILL) } }
            }
            answered()
            open = await withTaskGroup(of: [Message].self) { group in
                for (place, server) in servers.enumerated() {
                    let mine = open.indices.filter { $0 % count == place }.map { open[$0] }
                    group.addTask { await Self.work(server, mine, answered: answered) }
                }
                return await group.reduce(into: []) { $0 += $1 }
            }
            for server in servers {
                server.send(SIGKILL)
                server.waitForEnd()
            }
            // Some answered ones are sent again, too.
            done += open.filter { $0.run != nil }
            open = open.filter { $0.run == nil }.shuffled(using: &random)
        }
        let server = try TauProcess(in: directories[0], environment: variables)
        defer { server.stop() }
        let client = APIClient(server)
        done += await Self.work(server, open) {}
        #expect(done.count > Self.messages)
        for message in done {
            let run = try #require(message.run)
            let users = try await Self.users(client, message.session)
            #expect(users.count == 1, "\(message.text): \(users.count) messages")
            let listed = try await client.send("GET", "/sessions/\(message.session)/runs")
            let runs = listed.json["data"]?.array ?? []
            #expect(listed.status == 200 && runs.map { $0["id"]?.string } == [run], "\(message.text): \(listed.json)")
            let again = try await client.send(
                "POST", "/sessions/\(message.session)/runs", ["message": .string(message.text)],
                headers: ["Idempotency-Key": message.text])
            #expect(again.json["id"]?.string == run)
        }
    }
}
