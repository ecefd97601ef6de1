import Foundation
import TauCore
import TauTestKit
import Testing

/// Servers that are killed in the middle of model calls: what was held is never spent twice, and what was used is charged.
@Suite(.ownThreads, .timeLimit(.minutes(5))) struct BudgetCrashTests {
    private static let limit = 60_000
    private static let rounds = 6
    private static let clients = 12

    private static func start(_ directory: TemporaryDirectory, _ more: [String: String]) throws -> TauProcess {
        try TauProcess(
            in: directory,
            environment: [
                "TAU_MODELS_SCRIPT": directory.path + "/script.json", "TAU_BUDGET_TOKENS": "\(limit)",
                "TAU_BUDGET_HOLD_SECONDS": "2", "TAU_BUDGET_MIN_ANSWER_TOKENS": "10", "TAU_BUDGET_WAIT_SECONDS": "1",
                "TAU_STORE_CHECKPOINT_SECONDS": "1",
            ].merging(more) { _, new in new })
    }

    /// Asks for runs until the server is gone.
    private static func work(_ server: TauProcess) async {
        let client = APIClient(server)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<clients {
                group.addTask {
                    do {
                        while true {
                            let session = try await client.newSession()
                            guard !session.isEmpty else { return }
                            let answer = try await client.send(
                                "POST", "/sessions/\(session)/runs", ["message": "x"],
                                headers: ["Accept": "text/event-stream"])
                            if answer.status != 200 { return }
                        }
                    } catch {
                        // It was killed.
                    }
                }
            }
        }
    }

    /// Tokens that the answers in all sessions say they have used.
    private static func answered(_ client: APIClient) async throws -> Int {
        var sum = 0
        var cursor = ""
        repeat {
            let page = try await client.get("/sessions?limit=200" + cursor)
            for session in page["data"]?.array ?? [] {
                sum += session["usage"]?["totalTokens"]?.integer ?? 0
            }
            cursor = page["nextCursor"]?.string.map { "&cursor=\($0)" } ?? ""
        } while !cursor.isEmpty
        return sum
    }

    @Test(arguments: [1, 2]) func `no token is spent twice, and none is forgotten`(_ servers: Int) async throws {
        let database = try TemporaryDirectory()
        let variables = servers == 1 ? [:] : try TestDatabase.variables(for: database)
        let directories = try (0..<servers).map { _ in try TemporaryDirectory() }
        // Some calls have come back when the server dies, others have not; each uses much less than it holds.
        let script = #"{"replies": [{"content": "Fine.", "usage": {"input": 40, "output": 20}, "delayMs": 15}]}"#
        for directory in directories {
            try Data(script.utf8).write(to: URL(fileURLWithPath: directory.path + "/script.json"))
        }
        var random = SeededGenerator(seed: UInt64(servers))
        for _ in 0..<Self.rounds {
            let running = try directories.map { try Self.start($0, variables) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for server in running { group.addTask { await Self.work(server) } }
                // Killed once a random number of calls was charged, or the budget is used up.
                let watch = APIClient(running[0])
                let start = try await watch.get("/usage")["total"]?["totalTokens"]?.integer ?? 0
                let goal = start + 60 * Int.random(in: 1...60, using: &random)
                let deadline = ContinuousClock.now + .seconds(5)
                while ContinuousClock.now < deadline {
                    let usage = try await watch.get("/usage")
                    let budget = try #require(usage["budget"])
                    let sum = (budget["used"]?.integer ?? 0) + (budget["held"]?.integer ?? 0)
                    #expect(sum <= Self.limit, "\(budget)")
                    if (usage["total"]?["totalTokens"]?.integer ?? 0) >= goal { break }
                }
                for server in running { server.send(SIGKILL) }
                for server in running { server.waitForEnd() }
                try await group.waitForAll()
            }
        }
        // Once all holds have ended, one way or the other, the accounts, the lines and the sessions agree.
        let last = try Self.start(directories[0], variables)
        let client = APIClient(last)
        var usage = try await client.get("/usage")
        let deadline = ContinuousClock.now + .seconds(60)
        while usage["budget"]?["held"] != 0, ContinuousClock.now < deadline { usage = try await client.get("/usage") }
        #expect(usage["budget"]?["held"] == 0)
        // The lines were read before the accounts, and the last hold may have ended in between.
        usage = try await client.get("/usage")
        let used = try #require(usage["budget"]?["used"]?.integer)
        #expect(used <= Self.limit && used > 0)
        #expect(usage["total"]?["totalTokens"]?.integer == used, "\(usage["total"] ?? .null)")
        let answered = try await Self.answered(client)
        #expect(answered <= used, "\(answered) tokens came as answers, and \(used) are charged")
        last.stop()
    }
}
