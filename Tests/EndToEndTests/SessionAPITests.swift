import Foundation
import NIOHTTP1
import TauCore
import TauTestKit
import Testing

/// Sessions over HTTP, against a real server.
@Suite(.ownThreads) struct SessionAPITests {
    @Test func `without a valid key nothing below the API is told, not even what exists`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let stranger = APIClient(url: server.url, key: nil)
        let wrong = APIClient(server, key: "wrong-key-of-at-least-sixteen-bytes")
        for client in [stranger, wrong] {
            for (method, path) in [
                ("GET", "/sessions"), ("POST", "/sessions"), ("GET", "/sessions/abc"), ("GET", "/models"),
                ("GET", "/nothing"),
                ("DELETE", "/runs/abc"),
            ] {
                let answer = try await client.send(method, path)
                #expect(answer.status == 401, "\(method) \(path)")
                #expect(answer.code == "unauthenticated")
                #expect(answer.headers["Content-Type"] == ["application/problem+json"])
                #expect(answer.headers["WWW-Authenticate"] == ["Bearer"])
            }
        }
        #expect(try await stranger.send("GET", "/health").status == 200)
        let unknown = try await APIClient(server).send("GET", "/nothing")
        #expect(unknown.status == 404)
        #expect(unknown.code == "not_found")
    }

    @Test func `a session is made, shown, changed, listed and deleted`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let fields: JSONValue = [
            "name": "first", "thinkingLevel": "low", "metadata": ["team": "blue"], "systemPrompt": "Be brief.",
            "tools": ["read"], "model": "scripted/scripted",
        ]
        let made = try await client.send("POST", "/sessions", fields)
        #expect(made.status == 201)
        let id = try #require(made.json["id"]?.string)
        #expect(made.headers["Location"] == ["/api/agent/v1/sessions/\(id)"])
        #expect(made.json["name"] == "first")
        #expect(made.json["thinkingLevel"] == "low")
        #expect(made.json["metadata"] == ["team": "blue"])
        #expect(made.json["model"] == ["provider": "scripted", "id": "scripted"])
        #expect(made.json["tier"] == "hot")
        #expect(made.json["activeRunId"] == .null)
        #expect(try await client.get("/sessions/\(id)") == made.json)

        let changed = try await client.send("PATCH", "/sessions/\(id)", ["name": "second"])
        #expect(changed.status == 200)
        #expect(changed.json["name"] == "second")
        #expect(try await client.get("/sessions")["data"]?.array?.map { $0["id"] } == [.string(id)])

        #expect(try await client.send("DELETE", "/sessions/\(id)").status == 204)
        #expect(try await client.send("GET", "/sessions/\(id)").status == 404)
        #expect(try await client.send("DELETE", "/sessions/\(id)").code == "not_found")
        #expect(try await client.get("/sessions")["data"] == [])
    }

    @Test func `bad input is refused with everything that is wrong and where`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let bad = try await client.send("POST", "/sessions", ["name": 5, "thinkingLevel": "much", "nonsense": true])
        #expect(bad.status == 400)
        #expect(bad.code == "bad_request")
        #expect(
            Set(bad.json["errors"]?.array?.compactMap { $0["path"]?.string } ?? []) == [
                "name", "thinkingLevel", "nonsense",
            ])
        for text in [
            "{", "[]", #"{"name":"a","name":"b"}"#, "{\"name\":\"\u{0}\"}", String(repeating: "[", count: 100_000),
        ] {
            let answer = try await client.send("POST", "/sessions", bytes: Array(text.utf8))
            #expect(answer.status == 400, "\(text.prefix(30))")
        }
        let id = try await client.newSession()
        for path in ["limit=0", "limit=201", "limit=x", "cursor=x"] {
            #expect(try await client.send("GET", "/sessions/\(id)/entries?\(path)").status == 400, "\(path)")
        }
        for id in ["..%2f..%2fetc", "a%00b", "%2e%2e", "x y"] {
            #expect(try await client.send("GET", "/sessions/\(id)").status == 404, "\(id)")
        }
        #expect(try await client.send("POST", "/sessions/\(id)/runs", ["message": ""]).status == 400)
        #expect(
            try await client.send("POST", "/sessions/\(id)/runs", ["message": "x", "model": "no/such"]).status == 400)
    }

    @Test func `every answer carries a request id, the caller's if it is sane`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let own = try await client.send("GET", "/models", headers: ["X-Request-Id": "my-id.1"])
        #expect(own.headers["X-Request-Id"] == ["my-id.1"])
        let insane = try await client.send("GET", "/models", headers: ["X-Request-Id": "a b\"c"])
        #expect(insane.headers["X-Request-Id"].first?.count == 36)
    }

    @Test func `a body that is too large is refused`() async throws {
        let server = try TauProcess(environment: ["TAU_HTTP_MAX_BODY_BYTES": "2048"])
        defer { server.stop() }
        let name = String(repeating: "x", count: 4000)
        let answer = try await APIClient(server).send("POST", "/sessions", ["name": .string(name)])
        #expect(answer.status == 413)
        #expect(answer.code == "payload_too_large")
    }

    @Test func `a body without a length that turns out too large is refused`() async throws {
        let server = try TauProcess(environment: ["TAU_HTTP_MAX_BODY_BYTES": "2048"])
        defer { server.stop() }
        let client = APIClient(server)
        let id = try await client.newSession()
        for (method, path) in [("POST", "/sessions"), ("PATCH", "/sessions/\(id)"), ("POST", "/sessions/\(id)/fork")] {
            let answer = try await client.sendInChunks(method, path, [UInt8](repeating: 0x20, count: 4000))
            #expect(answer.status == 413, "\(method) \(path)")
            #expect(answer.code == "payload_too_large")
        }
    }

    @Test func `lists come in pages that neither repeat nor skip`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        var made: Set<String> = []
        for number in 0..<7 { made.insert(try await client.newSession(["name": .string("s\(number)")])) }
        var seen: [String] = []
        var query = "limit=3"
        for _ in 0..<5 {
            let page = try await client.get("/sessions?\(query)")
            seen += page["data"]?.array?.compactMap { $0["id"]?.string } ?? []
            guard let cursor = page["nextCursor"]?.string else { break }
            query = "limit=3&cursor=\(cursor)"
        }
        #expect(seen.count == 7)
        #expect(Set(seen) == made)
        let found = try await client.get("/sessions?q=S4")
        #expect(found["data"]?.array?.map { $0["name"] } == ["s4"])
    }

    @Test(arguments: [("large-session", 1018, 914), ("before-compaction", 1002, 446)])
    func `a real session is imported, read, continued and exported`(_ file: (String, Int, Int)) async throws {
        let (name, entryCount, messageCount) = file
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let made = try await client.send("POST", "/sessions/import", bytes: try SharedData.bytes("pi/\(name).jsonl"))
        #expect(made.status == 201)
        let id = try #require(made.json["id"]?.string)
        #expect(made.json["entryCount"] == .integer(entryCount))
        #expect(
            try await client.send("POST", "/sessions/import", bytes: try SharedData.bytes("pi/\(name).jsonl")).status
                == 409)

        #expect(try await client.get("/sessions/\(id)/tree")["nodes"]?.array?.count == entryCount)
        let context = try await client.get("/sessions/\(id)/context")
        #expect(context["messages"]?.array?.count == messageCount)
        #expect(context["model"]?["provider"]?.string != nil)
        #expect(context["tokens"]?.integer ?? 0 > 10_000)

        var entries: [JSONValue] = []
        var query = "limit=200"
        while true {
            let page = try await client.get("/sessions/\(id)/entries?\(query)")
            entries += page["data"]?.array ?? []
            guard let cursor = page["nextCursor"]?.string else { break }
            query = "limit=200&cursor=\(cursor)"
        }
        #expect(entries.count == entryCount)

        let events = try await client.run("And now?", in: id)
        #expect(events.finalStatus == "completed")
        let exported = try await client.send("GET", "/sessions/\(id)/export")
        #expect(exported.headers["Content-Type"] == ["application/x-ndjson"])
        let lines = exported.body.split(separator: UInt8(ascii: "\n")).map(Array.init)
        #expect(try lines.dropFirst().prefix(entryCount).map { try JSONValue(parsing: $0) } == entries)
        #expect(lines.count > entryCount + 2)

        // What was exported is version 3: imported elsewhere it stays byte for byte.
        let other = try TauProcess()
        defer { other.stop() }
        let again = try await APIClient(other).send("POST", "/sessions/import", bytes: exported.body)
        #expect(again.status == 201)
        #expect(try await APIClient(other).send("GET", "/sessions/\(id)/export").body == exported.body)
    }

    @Test func `a broken line refuses the whole import`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let header = #"{"type":"session","version":3,"id":"abc","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/"}"#
        let answer = try await client.send("POST", "/sessions/import", bytes: Array("\(header)\n\n{\"type\":\n".utf8))
        #expect(answer.status == 422)
        #expect(answer.code == "invalid_content")
        #expect(answer.json["errors"]?.array?.map { $0["path"] } == ["line 3"])
        #expect(try await client.get("/sessions")["data"] == [])
    }

    @Test(.enabled(if: TestDatabase.isOfFiles)) func `the files are the owner's alone`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let id = try await APIClient(server).newSession()
        func mode(_ path: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: server.directory.path + "/data/" + path)[.posixPermissions]
                as? Int
        }
        #expect(try mode("sessions") == 0o700)
        #expect(try mode("sessions/\(id).jsonl") == 0o600)
    }

    @Test(.enabled(if: TestDatabase.isOfFiles)) func `a session that another process writes is a conflict`()
        async throws
    {
        let server = try TauProcess()
        defer { server.stop() }
        let id = try await APIClient(server).newSession()
        let second = try TauProcess(in: server.directory)
        defer { second.stop() }
        let answer = try await APIClient(second).send("POST", "/sessions/\(id)/runs", ["message": "mine"])
        #expect(answer.status == 409)
        #expect(answer.code == "conflict")
        #expect(try await APIClient(server).run("still mine", in: id).finalStatus == "completed")
    }
}
