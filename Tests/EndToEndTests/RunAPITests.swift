import Foundation
import NIOHTTP1
import TauCore
import TauTestKit
import Testing

/// Runs over HTTP, against a real server with the scripted model.
@Suite(.ownThreads) struct RunAPITests {
    @Test func `a message gets a streamed and saved answer`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        let events = try await client.run("Hello there.", in: session)
        #expect(events.map(\.id) == Array(1...events.count))
        #expect(events.allSatisfy { $0.data["type"]?.string == $0.type })
        #expect(events.first?.type == "run_state")
        #expect(events.finalStatus == "completed")
        #expect(!events.text.isEmpty)
        let saved = try await client.get("/sessions/\(session)/context")["messages"]?.array ?? []
        #expect(saved.map { $0["role"] } == ["user", "assistant"])
        #expect(saved.last?["content"]?.array?.first?["text"]?.string == events.text)
        let usage = try await client.get("/sessions/\(session)")["usage"]
        #expect(usage?["totalTokens"]?.integer ?? 0 > 0)
        #expect(usage?["cost"]?["total"] == 0)
    }

    @Test func `tools act in the session's workspace`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        let events = try await client.run(
            #"Use write with path=notes/a.txt, content="forty two". Use read with path=notes/a.txt."#, in: session)
        #expect(events.finalStatus == "completed")
        let ends = events.filter { $0.type == "tool_execution_end" }
        #expect(
            ends.map { $0.data["toolName"] } == ["write", "read"]
                || ends.map { $0.data["toolName"] } == ["read", "write"])
        let again = try await client.run("Use read with path=notes/a.txt.", in: session)
        let result = again.first { $0.type == "tool_execution_end" }?.data
        #expect(result?["isError"] == false)
        #expect(result?["result"]?["content"]?.array?.first?["text"] == "forty two")
        let outside = try await client.run("Use read with path=../../../etc/hostname.", in: session)
        #expect(outside.first { $0.type == "tool_execution_end" }?.data["isError"] == true)
    }

    @Test func `a model that fails twice is asked three times`() async throws {
        let directory = try TemporaryDirectory()
        let failure: JSONValue = ["code": "overloaded", "message": "busy", "times": 2]
        let script: JSONValue = ["replies": [["content": "At last.", "errorBefore": failure]]]
        try Data(script.text.utf8).write(to: URL(fileURLWithPath: directory.path + "/script.json"))
        let server = try TauProcess(
            in: directory,
            environment: [
                "TAU_MODELS_SCRIPT": directory.path + "/script.json", "TAU_MODELS_RETRY_BASE_MILLISECONDS": "1",
            ])
        defer { server.stop() }
        let client = APIClient(server)
        let events = try await client.run("x", in: try await client.newSession())
        #expect(events.finalStatus == "completed")
        #expect(events.text == "At last.")
        #expect(events.filter { $0.type == "retry" }.map { $0.data["attempt"]?.integer } == [1, 2])
        #expect(events.map(\.id) == Array(1...events.count))
    }

    @Test func `a long answer takes at most six times its length on the wire`() async throws {
        let directory = try TemporaryDirectory()
        let words = (0..<2100).map { "word\($0)" }.joined(separator: " ")
        let text = String(words.prefix(12_000))
        let script: JSONValue = ["replies": [["content": .string(text)]], "chunkSize": 4]
        try Data(script.text.utf8).write(to: URL(fileURLWithPath: directory.path + "/script.json"))
        let server = try TauProcess(
            in: directory, environment: ["TAU_MODELS_SCRIPT": directory.path + "/script.json"])
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        var count = 0
        try await client.bytes("POST", "/sessions/\(session)/runs", ["message": "x"]) { count += $0.count }
        #expect(count <= 6 * text.utf8.count, "\(count)")
        #expect(count > text.utf8.count)
        let run = try #require(try await client.get("/sessions/\(session)/runs")["data"]?.array?.first?["id"]?.string)
        #expect(try await client.events("GET", "/runs/\(run)/events").text == text)
    }

    @Test func `who comes late to a long message gets what was said so far, then the rest`() async throws {
        let count = 200
        let body = (0..<400).map { #"data: {"choices":[{"index":0,"delta":{"content":"word\#($0) "}}]}"# + "\n\n" }
        // The model falls silent in the middle, so that the message is certainly not over.
        let proxy = try FaultProxy(
            .stream(Array(body.joined().utf8)),
            faults: [.stall(afterBytes: body.prefix(count).reduce(0) { $0 + $1.utf8.count })])
        defer { proxy.stop() }
        // Every piece is an event of its own.
        let server = try TauProcess(environment: ["OPENAI_BASE_URL": proxy.url, "TAU_RUNS_DELTA_BYTES": "0"])
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        let text = (0..<count).map { "word\($0) " }.joined()
        var late: [APIClient.Event] = []
        var run = ""
        var said = ""
        let all = try await client.events(
            "POST", "/sessions/\(session)/runs", ["message": "x", "model": "openai/some-model"]
        ) { event in
            run = event.data["run"]?["id"]?.string ?? run
            said += [event].text
            guard said == text, late.isEmpty else { return true }
            late = try await client.events("GET", "/runs/\(run)/events") {
                $0.data["assistantMessageEvent"]?["delta"] == nil
            }
            _ = try await client.send("POST", "/runs/\(run)/cancel")
            return true
        }
        #expect(all.text == text)
        #expect(all.map(\.id) == Array(1...all.count))
        #expect(late.text == text)
        #expect(late.filter { $0.data["assistantMessageEvent"]?["delta"] != nil }.count == 1)
        #expect(late.last?.id == all.last { $0.data["assistantMessageEvent"]?["delta"] != nil }?.id)
        // Who has a part of it gets the rest piece by piece, to the end.
        let rest = try await client.events(
            "GET", "/runs/\(run)/events", headers: ["Last-Event-ID": "\(all.count - 10)"])
        #expect(rest == Array(all.suffix(10)))
    }

    @Test func `without SSE a run is accepted, and its events can be read later and in part`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        let answer = try await client.send("POST", "/sessions/\(session)/runs", ["message": "Hello."])
        #expect(answer.status == 202)
        let run = try #require(answer.json["id"]?.string)
        #expect(answer.headers["Location"] == ["/api/agent/v1/runs/\(run)"])
        let all = try await client.events("GET", "/runs/\(run)/events")
        #expect(all.finalStatus == "completed")
        let rest = try await client.events("GET", "/runs/\(run)/events", headers: ["Last-Event-ID": "4"])
        #expect(rest == Array(all.dropFirst(4)))
        let none = try await client.events("GET", "/runs/\(run)/events", headers: ["Last-Event-ID": "\(all.count)"])
        #expect(none.isEmpty)
        #expect(try await client.get("/runs/\(run)")["status"] == "completed")
        #expect(try await client.get("/sessions/\(session)/runs")["data"]?.array?.map { $0["id"] } == [.string(run)])
        #expect(try await client.send("GET", "/runs/unknown").status == 404)
    }

    @Test func `a client that goes away does not end its run`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        let body: JSONValue = ["message": .string(TauProcess.heldMessage)]
        let seen = try await client.events("POST", "/sessions/\(session)/runs", body) {
            $0.type != "tool_execution_start"
        }
        let run = try #require(seen.first?.data["run"]?["id"]?.string)
        #expect(try await client.get("/runs/\(run)")["status"] == "running")
        try server.release(session)
        let rest = try await client.events(
            "GET", "/runs/\(run)/events", headers: ["Last-Event-ID": "\(seen.last?.id ?? 0)"])
        #expect(rest.first?.id == (seen.last?.id ?? 0) + 1)
        #expect(rest.finalStatus == "completed")
    }

    @Test func `cancel stops the tools and keeps what there is`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        let body: JSONValue = ["message": #"Use bash with command="echo begun; sleep 300"."#]
        let events = try await client.events("POST", "/sessions/\(session)/runs", body) { event in
            if event.type == "tool_execution_start",
                let run = try await client.get("/sessions/\(session)")["activeRunId"]?.string
            {
                let answer = try await client.send("POST", "/runs/\(run)/cancel")
                #expect(answer.status == 202)
            }
            return true
        }
        #expect(events.finalStatus == "cancelled")
        let roles = try await client.get("/sessions/\(session)/context")["messages"]?.array?.map { $0["role"] }
        #expect(roles == ["user", "assistant", "toolResult"])
        #expect(try await client.run("Hello.", in: session).finalStatus == "completed")
    }

    @Test func `a busy session refuses, steers or queues`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        let path = "/sessions/\(session)/runs"
        let events = try await client.events("POST", path, ["message": .string(TauProcess.heldMessage)]) { event in
            guard event.type == "tool_execution_start" else { return true }
            let refused = try await client.send("POST", path, ["message": "me too"])
            #expect(refused.status == 409)
            #expect(refused.code == "run_in_progress")
            #expect(try await client.send("POST", path, ["message": "and this", "ifBusy": "followUp"]).status == 202)
            try server.release(session)
            return true
        }
        #expect(events.finalStatus == "completed")
        let users = events.filter { $0.type == "message_end" && $0.data["message"]?["role"] == "user" }
        #expect(users.count == 2)
    }

    @Test func `a silent stream gives a sign of life`() async throws {
        let server = try TauProcess(environment: ["TAU_HTTP_HEARTBEAT_SECONDS": "1"])
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        var text = ""
        try await client.bytes("POST", "/sessions/\(session)/runs", ["message": .string(TauProcess.heldMessage)]) {
            bytes in
            text += String(decoding: bytes, as: UTF8.self)
            if text.contains("\n: ping\n\n") { try server.release(session) }
        }
        #expect(text.contains("\n: ping\n\n"))
        #expect(text.contains("\"status\":\"completed\""))
    }

    @Test func `models and tools are listed`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let models = try await client.get("/models?limit=200")["data"]?.array ?? []
        let haiku = try #require(models.first { $0["id"] == "claude-3-5-haiku-20241022" })
        #expect(haiku["prices"]?["input"] == 0.8)
        #expect(haiku["available"] == false)
        #expect(models.first { $0["provider"] == "scripted" }?["available"] == true)
        let tools = try await client.get("/tools")["data"]?.array ?? []
        #expect(tools.map { $0["name"] } == ["read", "bash", "edit", "write", "grep", "find", "ls"])
        #expect(tools.allSatisfy { $0["parameters"]?["type"] == "object" && $0["policy"] == "allow" })
    }
}
