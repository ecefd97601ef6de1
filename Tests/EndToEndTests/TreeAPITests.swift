import Foundation
import Glibc
import NIOHTTP1
import TauCore
import TauTestKit
import Testing

/// Branches, forks, compactions, search and export over HTTP, against a real server.
@Suite(.ownThreads) struct TreeAPITests {
    /// Sends messages one after the other; the ids of the entries that answered them.
    private func talk(_ client: APIClient, _ id: String, _ messages: [String]) async throws -> [String] {
        var leaves: [String] = []
        for message in messages {
            let events = try await client.events("POST", "/sessions/\(id)/runs", ["message": .string(message)])
            let run = try #require(events.last?.data["run"])
            #expect(run["status"] == "completed")
            leaves.append(run["leafId"]?.string ?? "")
        }
        return leaves
    }

    @Test func `the leaf moves, the next message hangs on it, also after a restart, and nothing is lost`() async throws
    {
        let directory = try TemporaryDirectory()
        var server = try TauProcess(in: directory)
        var client = APIClient(server)
        let id = try #require(try await client.send("POST", "/sessions", [:]).json["id"]?.string)
        let leaves = try await talk(client, id, ["first", "second"])
        let moved = try await client.send(
            "POST", "/sessions/\(id)/branch", ["entryId": .string(leaves[0]), "summarize": false])
        #expect(moved.status == 200)
        #expect(moved.json["leafId"] == .string(leaves[0]))
        // A kill, not a stop: what was answered is there.
        server.send(SIGKILL)
        server.waitForEnd()
        server = try TauProcess(in: directory)
        defer { server.stop() }
        client = APIClient(server)
        #expect(try await client.get("/sessions/\(id)")["leafId"] == .string(leaves[0]))
        let third = try await talk(client, id, ["third"])
        let tree = try await client.get("/sessions/\(id)/tree")
        #expect(tree["leafId"] == .string(third[0]))
        let nodes = tree["nodes"]?.array ?? []
        let question = nodes.first { $0["preview"] == "third" }
        #expect(question?["parentId"] == .string(leaves[0]))
        #expect(nodes.contains { $0["preview"] == "second" })
        let context = try await client.get("/sessions/\(id)/context")["messages"]?.array ?? []
        #expect(!context.contains { $0["content"]?.array?.first?["text"] == "second" })

        let summed = try await client.send(
            "POST", "/sessions/\(id)/branch",
            ["entryId": .string(leaves[0]), "summarize": true, "instructions": "Be brief."])
        #expect(summed.status == 200, "\(summed.json)")
        let entries = try await client.get("/sessions/\(id)/entries")["data"]?.array ?? []
        #expect(entries.last?["type"] == "branch_summary")
        #expect(entries.last?["fromId"] == .string(third[0]))
        #expect(entries.last?["parentId"] == .string(leaves[0]))
        #expect(summed.json["leafId"] == entries.last?["id"])
        let start = try await client.send("POST", "/sessions/\(id)/branch", ["entryId": .null])
        #expect(start.json["leafId"] == .null)
    }

    @Test func `a fork is a session of its own`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let id = try #require(try await client.send("POST", "/sessions", ["name": "original"]).json["id"]?.string)
        let leaves = try await talk(client, id, ["first", "second"])
        let fork = try await client.send(
            "POST", "/sessions/\(id)/fork", ["entryId": .string(leaves[0]), "name": "copy"])
        #expect(fork.status == 201)
        let copy = try #require(fork.json["id"]?.string)
        #expect(fork.headers["Location"] == ["/api/agent/v1/sessions/\(copy)"])
        #expect(fork.json["name"] == "copy")
        let original = try await client.get("/sessions/\(id)/entries")["data"]?.array ?? []
        let copied = try await client.get("/sessions/\(copy)/entries")["data"]?.array ?? []
        let count = try #require(original.firstIndex { $0["id"] == .string(leaves[0]) }) + 1
        #expect(Array(copied.prefix(count)) == Array(original.prefix(count)))
        #expect(copied.count == count + 1)
        _ = try await talk(client, copy, ["third"])
        #expect(try await client.get("/sessions/\(id)/entries")["data"]?.array == original)
        // The same key gets the same fork.
        let once = try await client.send("POST", "/sessions/\(id)/fork", [:], headers: ["Idempotency-Key": "k1"])
        let again = try await client.send("POST", "/sessions/\(id)/fork", [:], headers: ["Idempotency-Key": "k1"])
        #expect(once.json == again.json)
        #expect(try await client.get("/sessions")["data"]?.array?.count == 3)
    }

    @Test func `a real session is compacted on request, and the context becomes short`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let imported = try await client.send(
            "POST", "/sessions/import", bytes: try SharedData.bytes("pi/large-session.jsonl"))
        let id = try #require(imported.json["id"]?.string)
        let before = try await client.get("/sessions/\(id)/context")["tokens"]?.integer ?? 0
        #expect(before == 177_657)
        let compacted = try await client.send("POST", "/sessions/\(id)/compact", ["instructions": "Keep paths."])
        #expect(compacted.status == 200, "\(compacted.json)")
        #expect(compacted.json["type"] == "compaction")
        #expect(compacted.json["tokensBefore"] == 177_657)
        #expect(compacted.json["details"]?["modifiedFiles"]?.array?.count == 20)
        #expect(compacted.json["summary"]?.string?.contains("<modified-files>") == true)
        let context = try await client.get("/sessions/\(id)/context")
        #expect(context["messages"]?.array?.first?["role"] == "compactionSummary")
        #expect((context["tokens"]?.integer ?? .max) < 40_000)
        let again = try await client.send("POST", "/sessions/\(id)/compact", [:])
        #expect(again.status == 409)
        #expect(again.code == "conflict")
    }

    @Test func `bad input is told in full, and what does not exist is not found`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        let id = try #require(try await client.send("POST", "/sessions", [:]).json["id"]?.string)
        let cases: [(String, JSONValue, Int, String)] = [
            ("/sessions/\(id)/branch", [:], 400, "bad_request"),
            ("/sessions/\(id)/branch", ["entryId": 7], 400, "bad_request"),
            ("/sessions/\(id)/branch", ["entryId": .null, "summarize": "yes"], 400, "bad_request"),
            ("/sessions/\(id)/branch", ["entryId": "nothing"], 404, "not_found"),
            ("/sessions/\(id)/fork", ["entryId": "nothing"], 404, "not_found"),
            ("/sessions/\(id)/fork", ["other": 1], 400, "bad_request"),
            ("/sessions/\(id)/compact", ["instructions": []], 400, "bad_request"),
            ("/sessions/\(id)/compact", [:], 409, "conflict"),
            ("/sessions/nothing/branch", ["entryId": .null], 404, "not_found"),
            ("/sessions/nothing/fork", [:], 404, "not_found"),
            ("/sessions/nothing/compact", [:], 404, "not_found"),
        ]
        for (path, body, status, code) in cases {
            let answer = try await client.send("POST", path, body)
            #expect(answer.status == status, "\(path) \(body.text)")
            #expect(answer.code == code, "\(path) \(body.text)")
        }
    }

    @Test func `a search finds words of names and messages, page by page`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        for number in 0..<5 {
            let id =
                try await client.send("POST", "/sessions", ["name": .string("trip \(number)")]).json["id"]?.string ?? ""
            _ = try await talk(client, id, ["Tell me about Lissabon number \(number)"])
        }
        func found(_ query: String) async throws -> Int {
            try await client.get("/sessions?q=\(query)")["data"]?.array?.count ?? -1
        }
        #expect(try await found("lissabon") == 5)
        #expect(try await found("trip%20lissabon") == 5)
        #expect(try await found("trip%203") == 1)
        #expect(try await found("nowhere") == 0)
        let page = try await client.get("/sessions?q=lissabon&limit=2")
        let cursor = try #require(page["nextCursor"]?.string)
        let next = try await client.get("/sessions?q=lissabon&limit=3&cursor=\(cursor)")
        #expect(page["data"]?.array?.count == 2 && next["data"]?.array?.count == 3)
        #expect(next["nextCursor"] == .null)
    }

    @Test func `both real sessions come out as they went in, line by line`() async throws {
        let server = try TauProcess()
        defer { server.stop() }
        let client = APIClient(server)
        for name in ["large-session", "before-compaction"] {
            let bytes = try SharedData.bytes("pi/\(name).jsonl")
            let id = try #require(try await client.send("POST", "/sessions/import", bytes: bytes).json["id"]?.string)
            let export = try await client.send("GET", "/sessions/\(id)/export")
            #expect(export.headers["Content-Length"] == [String(export.body.count)])
            let lines = bytes.split(separator: UInt8(ascii: "\n")).map(Array.init)
            let exported = export.body.split(separator: UInt8(ascii: "\n")).map(Array.init)
            #expect(lines.count == exported.count)
            // The migration adds ids and parents; whatever a line said, it says.
            for (old, new) in zip(lines.dropFirst(), exported.dropFirst()) {
                let (old, new) = (try JSONValue(parsing: old), try JSONValue(parsing: new))
                for member in old.object?.members ?? [] where member.key != "firstKeptEntryIndex" {
                    try #require(new[member.key] == member.value)
                }
            }
        }
    }
}
