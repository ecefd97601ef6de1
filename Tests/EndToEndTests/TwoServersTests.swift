import Foundation
import TauCore
import TauTestKit
import Testing

/// Servers that share a database are one service.
@Suite(.ownThreads, .timeLimit(.minutes(3))) struct TwoServersTests {
    /// Two servers on one database, each with a data directory of its own.
    private static func servers(
        _ more: [String: String] = [:]
    ) throws -> (first: TauProcess, second: TauProcess, database: TemporaryDirectory) {
        let database = try TemporaryDirectory()
        let variables = try TestDatabase.variables(for: database).merging(more) { _, new in new }
        return (try TauProcess(environment: variables), try TauProcess(environment: variables), database)
    }

    private static func run(_ client: APIClient, _ session: String, _ message: String) async throws -> JSONValue {
        var run = try await client.send("POST", "/sessions/\(session)/runs", ["message": .string(message)]).json
        let id = try #require(run["id"]?.string, "\(run)")
        while ["queued", "running"].contains(run["status"]?.string) {
            run = try await client.send("GET", "/runs/\(id)").json
        }
        return run
    }

    @Test func `a conversation goes on on whichever server is asked`() async throws {
        let (first, second, _) = try Self.servers()
        defer {
            first.stop()
            second.stop()
        }
        let clients = [APIClient(first), APIClient(second)]
        let session = try #require(try await clients[0].send("POST", "/sessions", [:]).json["id"]?.string)
        for turn in 0..<6 {
            let run = try await Self.run(clients[turn % 2], session, "Message \(turn)")
            #expect(run["status"] == "completed", "\(run)")
            // Who did not write it sees it, and the run.
            let other = clients[(turn + 1) % 2]
            let shown = try await other.send("GET", "/sessions/\(session)").json
            #expect(shown["leafId"] == run["leafId"])
            let runs = try await other.send("GET", "/sessions/\(session)/runs").json["data"]?.array
            #expect(runs?.first?["id"] == run["id"])
            let context = try await other.send("GET", "/sessions/\(session)/context").json
            #expect(context["messages"]?.array?.count == 2 * (turn + 1))
        }
        let exports = [
            try await clients[0].send("GET", "/sessions/\(session)/export").body,
            try await clients[1].send("GET", "/sessions/\(session)/export").body,
        ]
        #expect(exports[0] == exports[1])
        #expect(try await clients[1].send("DELETE", "/sessions/\(session)").status == 204)
        #expect(try await clients[0].send("GET", "/sessions/\(session)").status == 404)
    }

    @Test func `a run at work is seen, refused to others and stopped from the other server`() async throws {
        let (first, second, _) = try Self.servers()
        defer {
            first.stop()
            second.stop()
        }
        let (here, there) = (APIClient(first), APIClient(second))
        let session = try #require(try await here.send("POST", "/sessions", [:]).json["id"]?.string)
        let started = try await here.send(
            "POST", "/sessions/\(session)/runs", ["message": .string(TauProcess.heldMessage)])
        let run = try #require(started.json["id"]?.string)
        // Its state gets there with the entries.
        var shown = try await there.send("GET", "/sessions/\(session)").json
        while shown["activeRunId"] != .string(run) { shown = try await there.send("GET", "/sessions/\(session)").json }
        let refused = try await there.send("POST", "/sessions/\(session)/runs", ["message": "Me too"])
        #expect(refused.status == 409)
        #expect(refused.code == "run_in_progress")
        #expect(try await there.send("DELETE", "/sessions/\(session)").code == "run_in_progress")
        #expect(try await there.send("POST", "/sessions/\(session)/archive").status == 409)
        #expect(try await there.send("POST", "/runs/\(run)/cancel").status == 202)
        var state = try await there.send("GET", "/runs/\(run)").json
        while state["status"] == "running" { state = try await there.send("GET", "/runs/\(run)").json }
        #expect(state["status"] == "cancelled")
        #expect(try await Self.run(there, session, "Now me")["status"] == "completed")
    }

    @Test func `the runs of a server that was killed are marked, and its sessions go on elsewhere`() async throws {
        let (first, second, _) = try Self.servers()
        defer { second.stop() }
        let (here, there) = (APIClient(first), APIClient(second))
        let session = try #require(try await here.send("POST", "/sessions", [:]).json["id"]?.string)
        #expect(try await Self.run(here, session, "Hello")["status"] == "completed")
        let started = try await here.send(
            "POST", "/sessions/\(session)/runs", ["message": .string(TauProcess.heldMessage)])
        let run = try #require(started.json["id"]?.string)
        var shown = try await there.send("GET", "/runs/\(run)")
        while shown.json["status"] != "running" { shown = try await there.send("GET", "/runs/\(run)") }
        first.send(SIGKILL)
        first.waitForEnd()
        while shown.json["status"] == "running" { shown = try await there.send("GET", "/runs/\(run)") }
        #expect(shown.json["status"] == "interrupted")
        #expect(try await Self.run(there, session, "Go on")["status"] == "completed")
        let entries = try await there.send("GET", "/sessions/\(session)/entries?limit=200").json["data"]?.array ?? []
        let texts = entries.map { $0["message"]?["content"]?.array?.first?["text"]?.string ?? "" }
        #expect(texts.contains("Hello") && texts.contains("Go on"))
        #expect(texts.contains { $0.contains("interrupted") } || entries.contains { $0["type"] != "message" })
    }

    @Test func `a session goes to the archive and comes back with its next message`() async throws {
        let bucket = try TemporaryDirectory()
        let (first, second, _) = try Self.servers([
            "TAU_STORE_KIND": "hybrid", "TAU_ARCHIVE_URL": "file://\(bucket.path)",
        ])
        defer {
            first.stop()
            second.stop()
        }
        let (here, there) = (APIClient(first), APIClient(second))
        let session = try #require(try await here.send("POST", "/sessions", [:]).json["id"]?.string)
        _ = try await Self.run(here, session, "Hello")
        let before = try await here.send("GET", "/sessions/\(session)/export").body
        let archived = try await there.send("POST", "/sessions/\(session)/archive")
        #expect(archived.json["tier"] == "archived", "\(archived.json)")
        #expect(FileManager.default.fileExists(atPath: bucket.path + "/archives/\(session).jsonl"))
        for client in [here, there] {
            #expect(try await client.send("GET", "/sessions/\(session)/export").body == before)
            #expect(try await client.send("GET", "/sessions/\(session)").json["tier"] == "archived")
        }
        #expect(try await Self.run(here, session, "And on")["status"] == "completed")
        #expect(try await there.send("GET", "/sessions/\(session)").json["tier"] == "hot")
        #expect(!FileManager.default.fileExists(atPath: bucket.path + "/archives/\(session).jsonl"))
        let after = try await there.send("GET", "/sessions/\(session)/export").body
        #expect(after.starts(with: before))
    }
}
