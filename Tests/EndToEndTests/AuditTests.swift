import Foundation
import TauCore
import TauTestKit
import Testing

/// Rules for tools, and the log of what was decided.
@Suite(.ownThreads, .timeLimit(.minutes(2))) struct AuditTests {
    private static func entries(_ directory: TemporaryDirectory) throws -> [JSONValue] {
        try String(contentsOfFile: directory.path + "/data/audit.jsonl", encoding: .utf8)
            .split(separator: "\n").map { try JSONValue(parsing: String($0)) }
    }

    @Test func `rules let calls through, hold them back and ask, by argument and role, and it is written down`()
        async throws
    {
        let directory = try TemporaryDirectory()
        let rules = """
            tools:
              policy: {bash: ask}
              rules:
                harmless: {tool: bash, argument: command, pattern: "echo *", policy: allow}
                never: {tool: "*", argument: path, pattern: "secrets/*", policy: deny}
                admins: {tool: bash, role: admin, policy: allow}
            """
        try Data(rules.utf8).write(to: URL(fileURLWithPath: directory.path + "/tau.yaml"))
        let server = try TauProcess(in: directory)
        let root = APIClient(server)
        #expect(try await root.send("POST", "/admin/users", ["id": "alice"]).status == 201)
        let key = try #require(try await root.send("POST", "/admin/keys", ["userId": "alice"]).json["key"]?.string)
        let alice = APIClient(server, key: key)
        let session = try await alice.newSession()
        let echoed = try await alice.run(#"Use bash with command="echo hello"."#, in: session)
        #expect(echoed.finalStatus == "completed" && !echoed.contains { $0.type == "approval_required" })
        let denied = try await alice.run(#"Use write with path=x/../secrets/a, content="x"."#, in: session)
        #expect(denied.first { $0.type == "tool_execution_end" }?.data["isError"] == true)
        // Its beginning is let through; what follows is not.
        let asked = try await alice.run(#"Use bash with command="echo hello; touch made"."#, in: session) { event in
            guard event.type == "approval_required" else { return }
            let run = try await alice.get("/sessions/\(session)/runs")["data"]?.array?.first?["id"]?.string ?? ""
            let call = event.data["toolCallId"]?.string ?? ""
            let answer = try await alice.send("POST", "/runs/\(run)/approvals/\(call)", ["decision": "deny"])
            #expect(answer.status == 202)
        }
        #expect(asked.finalStatus == "completed" && asked.contains { $0.type == "approval_required" })
        let own = try await root.newSession()
        let free = try await root.run(#"Use bash with command="true; true"."#, in: own)
        #expect(!free.contains { $0.type == "approval_required" })
        #expect(try await alice.send("DELETE", "/sessions/\(session)").status == 204)
        server.stop()

        let entries = try Self.entries(directory)
        let expected = ["user.add", "key.create", "tool.deny", "approval.decide", "session.delete"]
        #expect(entries.map { $0["action"]?.string } == expected)
        #expect(entries[3]["outcome"] == "deny" && entries[3]["userId"] == "alice")
        #expect(entries[3]["keyId"]?.string == key.split(separator: "_").dropFirst().first.map(String.init))
        #expect(entries[3]["requestId"]?.string?.isEmpty == false && entries[3]["address"] == "127.0.0.1")
        #expect(entries[2]["details"]?["tool"] == "write")
        let text = entries.map(\.text).joined()
        #expect(!text.contains(key) && !text.contains(server.key))
        let verified = try TauProcess.command(["audit", "verify", "--json"], in: directory.path)
        #expect(verified.code == 0 && verified.output.contains(#""lines":5"#))
        let path = directory.path + "/data/audit.jsonl"
        let forged = try String(contentsOfFile: path, encoding: .utf8).replacing(#""deny""#, with: #""approve""#)
        try forged.write(toFile: path, atomically: false, encoding: .utf8)
        let broken = try TauProcess.command(["audit", "verify"], in: directory.path)
        #expect(broken.code == 1 && broken.errors.contains("line 5"))
    }

    @Test func `what cannot be written down is not done`() async throws {
        let directory = try TemporaryDirectory()
        let server = try TauProcess(in: directory)
        let root = APIClient(server)
        try FileManager.default.createDirectory(
            atPath: directory.path + "/data/audit.jsonl", withIntermediateDirectories: true)
        let answer = try await root.send("POST", "/admin/users", ["id": "alice"])
        #expect(answer.status == 503 && answer.code == "storage_unavailable")
        #expect(try await root.send("GET", "/admin/users/alice").status == 404)
        server.stop()
    }
}

extension APIClient {
    /// Sends a message and hands each event of its run on.
    fileprivate func run(
        _ message: String, in session: String, _ handle: (Event) async throws -> Void
    ) async throws -> [Event] {
        try await events("POST", "/sessions/\(session)/runs", ["message": .string(message)]) { event in
            try await handle(event)
            return true
        }
    }
}
