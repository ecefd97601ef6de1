import Foundation
import NIOHTTP1
import TauCore
import TauTestKit
import Testing

/// What users may use of models, over HTTP and over the end of a process.
@Suite(.ownThreads, .timeLimit(.minutes(3))) struct BudgetTests {
    /// A server whose model uses what `usage` says, for every answer.
    private static func server(
        usage: String = #"{"input": 100, "output": 50}"#, delay: Int = 0, in directory: TemporaryDirectory,
        _ environment: [String: String]
    ) throws -> TauProcess {
        let script = #"{"replies": [{"content": "Fine.", "usage": \#(usage), "delayMs": \#(delay)}]}"#
        try Data(script.utf8).write(to: URL(fileURLWithPath: directory.path + "/script.json"))
        return try TauProcess(
            in: directory,
            environment: ["TAU_MODELS_SCRIPT": directory.path + "/script.json", "TAU_BUDGET_MIN_ANSWER_TOKENS": "50"]
                .merging(environment) { _, new in new })
    }

    private static func member(_ root: APIClient, _ name: String, _ tenant: String = "acme") async throws -> String {
        _ = try await root.send("POST", "/admin/users", ["id": .string(name), "tenantId": .string(tenant)])
        let key = try await root.send("POST", "/admin/keys", ["userId": .string(name), "tenantId": .string(tenant)])
        return try #require(key.json["key"]?.string)
    }

    @Test func `a call that no budget has room for is refused before the model is asked`() async throws {
        let directory = try TemporaryDirectory()
        let server = try Self.server(in: directory, ["TAU_BUDGET_TOKENS": "6000"])
        let root = APIClient(server)
        let alice = APIClient(server, key: try await Self.member(root, "alice"))
        let bob = APIClient(server, key: try await Self.member(root, "bob"))
        var runs = 0
        var refusal: APIClient.Answer?
        while refusal == nil, runs < 100 {
            let session = try await alice.newSession()
            let answer = try await alice.send(
                "POST", "/sessions/\(session)/runs", ["message": "x"], headers: ["Accept": "text/event-stream"])
            if answer.status == 200 { runs += 1 } else { refusal = answer }
        }
        let answer = try #require(refusal)
        #expect(answer.status == 402 && answer.code == "budget_exceeded" && runs > 5)
        #expect(answer.json["detail"]?.string?.contains("6000 tokens a month") == true)
        let usage = try await alice.get("/usage")
        #expect(usage["budget"]?["limit"] == 6000 && usage["budget"]?["held"] == 0)
        #expect(usage["budget"]?["used"]?.integer == runs * 150)
        #expect(usage["budget"]?["remaining"]?.integer == 6000 - runs * 150)
        #expect(usage["budget"]?["resetsAt"]?.string?.hasSuffix("-01T00:00:00.000Z") == true)
        #expect(usage["total"]?["totalTokens"]?.integer == runs * 150)
        #expect(usage["data"]?.array?.first?["calls"]?.integer == runs)
        let bySession = try await alice.get("/usage?groupBy=session")["data"]?.array ?? []
        #expect(bySession.count == runs && bySession.allSatisfy { $0["usage"]?["totalTokens"] == 150 })
        #expect(try await alice.get("/usage?groupBy=model")["data"]?.array?.first?["model"] == "scripted/scripted")
        // It is hers alone, and nobody else sees it.
        #expect(try await bob.run("x", in: try await bob.newSession()).finalStatus == "completed")
        #expect(try await bob.get("/usage")["total"]?["totalTokens"] == 150)
        #expect(try await alice.send("GET", "/usage?groupBy=week").status == 400)
        #expect(try await alice.get("/usage?to=2020-01-01&from=2019-01-01")["data"]?.array == [])
        server.stop()
        // What was used is known after a restart.
        let again = try Self.server(in: directory, ["TAU_BUDGET_TOKENS": "6000"])
        let later = APIClient(again, key: alice.key)
        #expect(try await later.get("/usage")["budget"]?["used"]?.integer == runs * 150)
        again.stop()
    }

    @Test func `a budget that ends in the course of a run ends it between two turns`() async throws {
        let directory = try TemporaryDirectory()
        let script = """
            {"replies": [{"usage": {"input": 100, "output": 5000},
                "content": [{"type": "toolCall", "id": "c1", "name": "ls", "arguments": {}}]},
                {"content": "Never said."}]}
            """
        try Data(script.utf8).write(to: URL(fileURLWithPath: directory.path + "/script.json"))
        let server = try TauProcess(
            in: directory,
            environment: ["TAU_MODELS_SCRIPT": directory.path + "/script.json", "TAU_BUDGET_TOKENS": "5500"])
        let client = APIClient(server)
        let session = try await client.newSession()
        let events = try await client.run("go", in: session)
        let run = try #require(events.last?.data["run"])
        #expect(run["status"] == "failed" && run["error"]?["code"] == "budget_exceeded")
        // The call's result is there, and nothing behind it.
        let entries = try await client.get("/sessions/\(session)/entries")["data"]?.array ?? []
        #expect(entries.last?["message"]?["role"] == "toolResult")
        #expect(events.contains { $0.type == "agent_end" })
        #expect(try await client.get("/usage")["budget"]?["held"] == 0)
        server.stop()
    }

    @Test func `keys and tenants have budgets of their own, and one that warns refuses nothing`() async throws {
        let directory = try TemporaryDirectory()
        let server = try Self.server(
            usage: #"{"input": 0, "output": 4000}"#, in: directory,
            ["TAU_BUDGET_KEY_DAY_TOKENS": "5500", "TAU_BUDGET_TENANT_MONTH_TOKENS": "12000"])
        let root = APIClient(server)
        let first = APIClient(server, key: try await Self.member(root, "alice"))
        let second = APIClient(server, key: try await Self.member(root, "alice"))
        let bob = APIClient(server, key: try await Self.member(root, "bob"))
        let other = APIClient(server, key: try await Self.member(root, "carol", "other"))
        func status(_ client: APIClient) async throws -> Int {
            try await client.send(
                "POST", "/sessions/\(try await client.newSession())/runs", ["message": "x"],
                headers: ["Accept": "text/event-stream"]
            ).status
        }
        #expect(try await status(first) == 200)
        #expect(try await status(first) == 402)
        #expect(try await status(second) == 200)
        // Now 8,000 of the tenant's are used.
        #expect(try await status(bob) == 200)
        #expect(try await status(bob) == 402)
        #expect(try await status(other) == 200)
        let scopes = try await first.get("/usage")["budgets"]?.array?.compactMap { $0["scope"]?.string }
        #expect(scopes == ["tenant", "key"])
        #expect(try await first.get("/usage")["budget"] == .null)
        server.stop()
        let lenient = try Self.server(
            usage: #"{"input": 0, "output": 4000}"#, in: directory,
            ["TAU_BUDGET_TOKENS": "5000", "TAU_BUDGET_MODE": "warn"])
        for _ in 1...3 { #expect(try await status(APIClient(lenient, key: first.key)) == 200) }
        lenient.stop()
        #expect(lenient.log.contains("a budget is exceeded"))
    }

    @Test func `calls wait for what others hold, and are not refused because of it`() async throws {
        let directory = try TemporaryDirectory()
        // Room for one call at a time that holds what it may use, and for all that they do use.
        let server = try Self.server(
            delay: 50, in: directory, ["TAU_BUDGET_TOKENS": "8000", "TAU_BUDGET_MIN_ANSWER_TOKENS": "5000"])
        let client = APIClient(server)
        let statuses = try await withThrowingTaskGroup(of: String?.self) { group in
            for _ in 0..<4 {
                group.addTask { try await client.run("x", in: try await client.newSession()).finalStatus }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(statuses == Array(repeating: "completed", count: 4))
        #expect(try await client.get("/usage")["budget"]?["used"] == 600)
        server.stop()
    }

    @Test func `a server that is killed in the middle of calls leaves its holds, which nobody else can spend`()
        async throws
    {
        let directory = try TemporaryDirectory()
        let environment = ["TAU_BUDGET_TOKENS": "500000", "TAU_BUDGET_HOLD_SECONDS": "60"]
        let server = try Self.server(delay: 60_000, in: directory, environment)
        let client = APIClient(server)
        for _ in 1...3 {
            let session = try await client.newSession()
            let answer = try await client.send("POST", "/sessions/\(session)/runs", ["message": "x"])
            #expect(answer.status == 202)
        }
        var held = 0
        let deadline = ContinuousClock.now + .seconds(20)
        var last = 0
        repeat {
            last = held
            held = try await client.get("/usage")["budget"]?["held"]?.integer ?? 0
        } while (held == 0 || held != last || held % 3 != 0) && ContinuousClock.now < deadline
        #expect(held > 3000)
        server.send(SIGKILL)
        server.waitForEnd()
        let again = try Self.server(in: directory, environment)
        let usage = try await APIClient(again).get("/usage")
        // They are charged when they expire, which the ledger's own tests see.
        #expect(usage["budget"]?["held"]?.integer == held && usage["budget"]?["used"] == 0)
        again.stop()
    }
}
