import Foundation
import TauCore
import TauTestKit
import Testing

/// Approvals over HTTP, with servers that are stopped and killed.
@Suite(.ownThreads, .timeLimit(.minutes(2))) struct ApprovalAPITests {
    static let environment = ["TAU_TOOLS_POLICY_WRITE": "ask"]
    static let message = #"Use write with path=a.txt, content="x". Use read with path=missing.txt."#

    /// Starts a run that waits, and gives its id and its call's.
    func waitingRun(_ client: APIClient, _ session: String) async throws -> (
        run: String, call: String, events: [APIClient.Event]
    ) {
        let events = try await client.events("POST", "/sessions/\(session)/runs", ["message": .string(Self.message)]) {
            $0.data["run"]?["status"] != "waiting"
        }
        let run = try #require(events.first?.data["run"]?["id"]?.string)
        let call = try #require(events.first { $0.type == "approval_required" }?.data["toolCallId"]?.string)
        return (run, call, events)
    }

    func file(_ server: TauProcess, _ session: String) -> String? {
        try? String(contentsOfFile: server.directory.path + "/data/workspaces/\(session)/a.txt", encoding: .utf8)
    }

    @Test func `a person decides, and the run goes on`() async throws {
        let server = try TauProcess(environment: Self.environment)
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        let (run, call, seen) = try await waitingRun(client, session)
        #expect(seen.map(\.id) == Array(1...seen.count))
        let state = try await client.get("/runs/\(run)")
        #expect(state["status"] == "waiting")
        #expect(state["pendingApprovals"]?.array?.first?["toolName"] == "write")
        #expect(state["pendingApprovals"]?.array?.first?["arguments"]?["path"] == "a.txt")
        #expect(file(server, session) == nil)
        let path = "/runs/\(run)/approvals/\(call)"
        #expect(try await client.send("POST", path, ["decision": "perhaps"]).code == "bad_request")
        #expect(try await client.send("POST", path, [:]).code == "bad_request")
        #expect(
            try await client.send("POST", "/runs/\(run)/approvals/other", ["decision": "approve"]).code == "conflict")
        #expect(try await client.send("POST", "/runs/none/approvals/\(call)", ["decision": "deny"]).code == "not_found")
        let answer = try await client.send("POST", path, ["decision": "approve"])
        #expect(answer.status == 202)
        #expect(answer.json["pendingApprovals"] == [])
        let rest = try await client.events(
            "GET", "/runs/\(run)/events", headers: ["Last-Event-ID": "\(seen.count)"])
        #expect(rest.first?.id == seen.count + 1)
        #expect(rest.finalStatus == "completed")
        #expect(file(server, session) == "x")
        #expect(try await client.send("POST", path, ["decision": "approve"]).code == "conflict")
    }

    @Test(arguments: [SIGTERM, SIGKILL])
    func `a run that waits outlives its server`(_ signal: Int32) async throws {
        let directory = try TemporaryDirectory()
        let first = try TauProcess(in: directory, environment: Self.environment)
        let session = try await APIClient(first).newSession()
        let (run, call, seen) = try await waitingRun(APIClient(first), session)
        first.send(signal)
        #expect(first.waitForEnd() == (signal == SIGTERM ? 0 : -SIGKILL))

        let second = try TauProcess(in: directory, environment: Self.environment)
        defer { second.stop() }
        let client = APIClient(second)
        #expect(try await client.get("/runs/\(run)")["status"] == "waiting")
        #expect(try await client.get("/sessions/\(session)")["activeRunId"] == .string(run))
        #expect(try await client.send("POST", "/sessions/\(session)/runs", ["message": "x"]).code == "run_in_progress")
        let denied: JSONValue = ["decision": "deny", "reason": "not today"]
        #expect(try await client.send("POST", "/runs/\(run)/approvals/\(call)", denied).status == 202)
        let rest = try await client.events(
            "GET", "/runs/\(run)/events", headers: ["Last-Event-ID": "\(seen.last?.id ?? 0)"])
        #expect(rest.finalStatus == "completed", "\(rest.last?.data.text ?? "") \(second.log)")
        #expect((rest.first?.id ?? 0) > (seen.last?.id ?? 0))
        #expect(rest.first?.type == "run_state")
        #expect(file(second, session) == nil)
        let messages = try await client.get("/sessions/\(session)/context")["messages"]?.array ?? []
        #expect(messages.map { $0["role"] } == ["user", "assistant", "toolResult", "toolResult", "assistant"])
        let texts = messages.compactMap { $0["content"]?.array?.first?["text"]?.string }
        #expect(texts.contains("The call of write was not approved: not today"))
    }

    @Test func `a call that was approved and then interrupted is never run again`() async throws {
        let directory = try TemporaryDirectory()
        let environment = ["TAU_TOOLS_POLICY_BASH": "ask"]
        let first = try TauProcess(in: directory, environment: environment)
        let client = APIClient(first)
        let session = try await client.newSession()
        let message = #"Use bash with command="echo x >> ran; until [ -e go ]; do sleep 0.02; done"."#
        var run = ""
        let seen = try await client.events("POST", "/sessions/\(session)/runs", ["message": .string(message)]) {
            event in
            run = event.data["run"]?["id"]?.string ?? run
            if event.type == "approval_required" {
                let call = event.data["toolCallId"]?.string ?? ""
                _ = try await client.send("POST", "/runs/\(run)/approvals/\(call)", ["decision": "approve"])
            }
            return event.type != "tool_execution_start"
        }
        #expect(seen.last?.type == "tool_execution_start")
        first.send(SIGKILL)
        first.waitForEnd()
        let second = try TauProcess(in: directory, environment: environment)
        defer { second.stop() }
        #expect(try await APIClient(second).get("/runs/\(run)")["status"] == "interrupted")
        #expect(try await APIClient(second).run("Hello.", in: session).finalStatus == "completed")
        let messages = try await APIClient(second).get("/sessions/\(session)/context")["messages"]?.array ?? []
        let result = messages.first { $0["role"] == "toolResult" }
        #expect(result?["content"]?.array?.first?["text"]?.string?.contains("was interrupted") == true)
    }

    @Test func `a run whose server was killed at work was interrupted, and says so`() async throws {
        let directory = try TemporaryDirectory()
        let first = try TauProcess(in: directory)
        let session = try await APIClient(first).newSession()
        let seen = try await APIClient(first).events(
            "POST", "/sessions/\(session)/runs", ["message": .string(TauProcess.heldMessage)]
        ) { $0.type != "tool_execution_start" }
        let run = try #require(seen.first?.data["run"]?["id"]?.string)
        // What a crash leaves is what was noted: the list asks for it to be written.
        _ = try await APIClient(first).get("/sessions/\(session)/runs")
        first.send(SIGKILL)
        first.waitForEnd()
        let second = try TauProcess(in: directory)
        defer { second.stop() }
        let client = APIClient(second)
        #expect(try await client.get("/runs/\(run)")["status"] == "interrupted")
        #expect(try await client.get("/sessions/\(session)")["activeRunId"] == .null)
        let end = try await client.events("GET", "/runs/\(run)/events", headers: ["Last-Event-ID": "40"])
        #expect(end.map(\.type) == ["run_state"])
        #expect(end.first?.id == 41)
        #expect(end.finalStatus == "interrupted")
        #expect(try await client.send("POST", "/runs/\(run)/cancel").json["status"] == "interrupted")
        #expect(try await client.run("Hello.", in: session).finalStatus == "completed")
    }

    @Test func `the command line asks, approves and denies`() async throws {
        let directory = try TemporaryDirectory()
        let yes = try TauProcess.command(
            ["run", "--approvals", "approve", "--json", Self.message], in: directory.path, environment: Self.environment
        )
        #expect(yes.code == 0, "\(yes.errors)")
        #expect(yes.output.contains("approval_required"))
        let no = try TauProcess.command(["run", Self.message], in: directory.path, environment: Self.environment)
        #expect(no.code == 0)
        #expect(no.errors.contains("waits for an approval"))
        #expect(no.errors.contains("nobody is there to ask"))

        let server = try TauProcess(environment: Self.environment)
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        let (run, call, _) = try await waitingRun(client, session)
        let to = ["--server", server.url, "--key", server.key]
        let shown = try TauProcess.command(["runs", "show", run] + to, in: directory.path)
        #expect(shown.output.contains("waiting") && shown.output.contains(call) && shown.output.contains("a.txt"))
        let approved = try TauProcess.command(["runs", "approve", run, call] + to, in: directory.path)
        #expect(approved.code == 0, "\(approved.errors)")
        _ = try await client.events("GET", "/runs/\(run)/events")
        let list = try TauProcess.command(["runs", "list", session] + to, in: directory.path)
        #expect(list.output.contains("\(run)  completed"))
        #expect(file(server, session) == "x")
    }

    @Test func `a run's money is a number, and needs a price`() async throws {
        let server = try TauProcess(environment: ["OPENAI_BASE_URL": "http://127.0.0.1:1"])
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        let body: JSONValue = ["message": "x", "model": "openai/unknown", "maxCost": 0.5]
        let refused = try await client.send("POST", "/sessions/\(session)/runs", body)
        #expect(refused.code == "bad_request")
        #expect(refused.json["detail"]?.string?.contains("price of openai/unknown is not known") == true)
        let wrong = try await client.send("POST", "/sessions/\(session)/runs", ["message": "x", "maxCost": "much"])
        #expect(wrong.json["errors"]?.array?.first?["path"] == "maxCost")
        let free: JSONValue = ["model": "scripted/scripted", "maxCost": 0.01]
        #expect(try await client.run("Hello.", in: session, free).finalStatus == "completed")
    }
}
