import Foundation
import TauCore
import TauTestKit
import Testing

/// How a server starts, ends and dies.
@Suite(.ownThreads) struct LifecycleTests {
    @Test(.enabled(if: TestDatabase.isOfFiles)) func `health tells what is well`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(url: server.url, key: nil)
        #expect(try await client.send("GET", "/health").json == ["disk": true])
        #expect(try await client.send("GET", "/health/live").status == 200)
        #expect(try await client.send("GET", "/health/ready").status == 200)
        let verbose = try await client.send("GET", "/health?verbose=1").json
        #expect(verbose["details"]?["disk"]?["reason"] == .null)
    }

    private static let hasSandbox = FileManager.default.isExecutableFile(atPath: "/usr/bin/bwrap")

    @Test(.enabled(if: hasSandbox, "bubblewrap is not installed"))
    func `deep readiness tries the sandbox`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        #expect(try await APIClient(url: server.url, key: nil).send("GET", "/health/ready?deep=1").status == 200)
    }

    @Test func `a server without a sandbox says so at its start`() async throws {
        let server = try TauProcess(environment: ["TAU_TOOLS_SANDBOX": "none"])
        defer { server.stop() }
        #expect(server.log.contains("commands are not confined (tools.sandbox is none)"))
        let tools = try await APIClient(server).send("GET", "/tools").json["data"]?.array ?? []
        let bash = try #require(tools.first { $0["name"]?.string == "bash" })
        #expect(bash["note"]?.string?.contains("commands are not confined") == true)
    }

    @Test(.enabled(if: hasSandbox, "bubblewrap is not installed"))
    func `a run that fills its workspace is ended, and the next one can clear up`() async throws {
        let server = try TauProcess(environment: ["TAU_WORKSPACE_MAX_BYTES": "1000000"])
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        func run(_ command: String) async throws -> JSONValue? {
            let events = try await client.events(
                "POST", "/sessions/\(session)/runs", ["message": .string(#"Use bash with command="\#(command)"."#)])
            return events.last { $0.type == "run_state" }?.data["run"]
        }
        let full = try await run("head -c 3M /dev/zero > big; sleep 60")
        #expect(full?["status"]?.string == "failed")
        #expect(full?["error"]?["code"]?.string == "workspace_full")
        #expect(try await run("rm big")?["status"]?.string == "completed")
    }

    @Test func `a server that is asked to stop lets its runs finish`() async throws {
        let server = try TauProcess()
        let client = APIClient(server)
        let session = try await client.newSession()
        let body: JSONValue = ["message": .string(TauProcess.heldMessage)]
        let events = try await client.events("POST", "/sessions/\(session)/runs", body) { event in
            if event.type == "tool_execution_start" {
                server.send(SIGTERM)
                // Once it is not ready any more it is shutting down, and the run is still at work.
                while (try? await client.send("GET", "/health/ready"))?.status == 200 {}
                let refused = try? await client.send("POST", "/sessions/\(session)/runs", ["message": "too late"])
                #expect(refused?.status ?? 503 == 503)
                try server.release(session)
            }
            return true
        }
        #expect(events.finalStatus == "completed")
        #expect(server.waitForEnd() == 0)
        let again = try TauProcess(in: server.directory)
        defer { again.stop() }
        let messages = try await APIClient(again).get("/sessions/\(session)/context")["messages"]?.array
        #expect(messages?.map { $0["role"] } == ["user", "assistant", "toolResult", "assistant"])
    }

    @Test func `what does not finish within the drain time is interrupted, and says so`() async throws {
        let server = try TauProcess(environment: ["TAU_HTTP_DRAIN_SECONDS": "1"])
        let client = APIClient(server)
        let session = try await client.newSession()
        let body: JSONValue = ["message": #"Use bash with command="sleep 300"."#]
        _ = try? await client.events("POST", "/sessions/\(session)/runs", body) { event in
            if event.type == "tool_execution_start" { server.send(SIGTERM) }
            return true
        }
        server.waitForEnd()
        let again = try TauProcess(in: server.directory)
        defer { again.stop() }
        let messages = try await APIClient(again).get("/sessions/\(session)/context")["messages"]?.array
        #expect(messages?.map { $0["role"] } == ["user", "assistant", "toolResult"])
        #expect(messages?.last?["isError"] == true)
    }

    @Test func `after a kill nothing acknowledged is lost, and the session goes on`() async throws {
        let directory = try TemporaryDirectory()
        var session: String?
        var acknowledged: [JSONValue] = []
        for round in 0..<8 {
            let server = try TauProcess(in: directory)
            let client = APIClient(server)
            if session == nil { session = try await client.newSession() }
            let id = try #require(session)
            let stored = try await client.get("/sessions/\(id)/entries?limit=200")["data"]?.array ?? []
            #expect(Array(stored.prefix(acknowledged.count)) == acknowledged)
            acknowledged = stored
            // The tool call is acknowledged, then the server dies under it.
            let body: JSONValue = ["message": .string(#"Round \#(round). Use bash with command="sleep 300"."#)]
            _ = try? await client.events("POST", "/sessions/\(id)/runs", body) { event in
                if event.type == "entry_appended", let entry = event.data["entry"] { acknowledged.append(entry) }
                if event.type == "tool_execution_start" { server.send(SIGKILL) }
                return true
            }
            #expect(server.waitForEnd() == -SIGKILL)
        }
        let server = try TauProcess(in: directory)
        defer { server.stop() }
        let client = APIClient(server)
        let id = try #require(session)
        #expect(try await client.run("Hello.", in: id).finalStatus == "completed")
        let entries = try await client.get("/sessions/\(id)/entries?limit=200")["data"]?.array ?? []
        #expect(Array(entries.prefix(acknowledged.count)) == acknowledged)
        // Every call whose server died has a result that says so.
        let calls = entries.flatMap { $0["message"]?["content"]?.array ?? [] }.filter { $0["type"] == "toolCall" }
        let results = entries.filter { $0["message"]?["role"] == "toolResult" }
        #expect(calls.count == 8)
        #expect(results.map { $0["message"]?["toolCallId"] } == calls.map { $0["id"] })
        let ids = Set(entries.compactMap { $0["id"]?.string })
        #expect(ids.count == entries.count)
        #expect(entries.dropFirst().allSatisfy { ids.contains($0["parentId"]?.string ?? "") })
    }

    @Test(.enabled(if: TestDatabase.isOfFiles))
    func `a torn tail is cut off, logged, and the next answer is saved behind it`() async throws {
        let server = try TauProcess()
        let session = try await APIClient(server).newSession()
        _ = try await APIClient(server).run("Hello.", in: session)
        server.stop()
        let path = server.directory.path + "/data/sessions/\(session).jsonl"
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        let file = try #require(FileHandle(forWritingAtPath: path))
        try file.seekToEnd()
        try file.write(contentsOf: Data(#"{"type":"message","id":"torn","par"#.utf8))
        try file.close()
        let again = try TauProcess(in: server.directory)
        defer { again.stop() }
        #expect(try await APIClient(again).run("Still there?", in: session).finalStatus == "completed")
        #expect(again.log.contains("a torn last line was cut off"))
        let now = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(now.prefix(whole.count) == whole)
        #expect(now.count > whole.count)
        #expect(!String(decoding: now, as: UTF8.self).contains("torn"))
    }

    @Test func `the admin key is made at the first start, for its owner alone`() throws {
        let directory = try TemporaryDirectory()
        let server = try TauProcess(in: directory, environment: ["TAU_AUTH_ADMIN_KEY": ""])
        server.stop()
        let path = directory.path + "/data/admin.key"
        let key = try String(contentsOfFile: path, encoding: .utf8)
        #expect(key.hasPrefix("tau_admin_"))
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
        #expect(!server.log.contains(key.dropLast()))
    }

    @Test func `a port that is taken is said to be`() throws {
        let server = try TauProcess()
        defer { server.stop() }
        let port = server.url.split(separator: ":").last.map(String.init) ?? ""
        let result = try TauProcess.command(
            ["serve", "--port", port, "--data-dir", server.directory.path + "/other"], in: "/")
        #expect(result.code == 1)
        #expect(result.errors == "tau: 127.0.0.1:\(port) is in use already; choose another with --port\n")
    }

    @Test(arguments: [
        ["--port", "99999"], ["--log-level", "loud"], ["--config", "/does/not/exist.yaml"],
    ])
    func `a configuration that is wrong says what`(_ arguments: [String]) throws {
        let directory = try TemporaryDirectory()
        let result = try TauProcess.command(["serve"] + arguments, in: directory.path)
        #expect(result.code == 78)
        #expect(result.errors.hasPrefix("tau: configuration: "))
        #expect(result.output.isEmpty)
    }
}
