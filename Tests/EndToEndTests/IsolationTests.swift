import NIOHTTP1
import TauCore
import TauTestKit
import Testing

/// Every route of the API, as its document lists them, asked by everybody who might ask: nobody gets at what is another one's.
@Suite(.ownThreads, .timeLimit(.minutes(5))) struct IsolationTests {
    private struct Operation {
        var method: String
        var path: String
        var scope: String?
        var takesSubject: Bool { path.contains("{id}") || path.contains("{runId}") }

        func path(session: String, run: String) -> String {
            let names = [
                ("/api/agent/v1", ""), ("{id}", session), ("{runId}", run), ("{entryId}", "e1"), ("{toolCallId}", "c1"),
                ("{userId}", "owner"), ("{keyId}", "none"),
            ]
            return names.reduce(path) { $0.replacing($1.0, with: $1.1) }
        }
    }

    private static func operations(_ server: TauProcess) async throws -> [Operation] {
        let document = try JSONValue(parsing: try await APIClient.fetch(server.url + "/openapi.json"))
        var operations: [Operation] = []
        for path in document["paths"]?.object?.members ?? [] {
            for item in path.value.object?.members ?? [] where item.key != "parameters" {
                operations.append(
                    Operation(
                        method: item.key.uppercased(), path: path.key, scope: item.value["x-scope"]?.string))
            }
        }
        return operations
    }

    private static func addUser(
        _ admin: APIClient, _ id: String, _ tenant: String = "acme", role: String = "user", scopes: JSONValue? = nil
    ) async throws -> String {
        let user: JSONValue = ["id": .string(id), "tenantId": .string(tenant), "role": .string(role)]
        #expect([201, 409].contains(try await admin.send("POST", "/admin/users", user).status))
        return try await addKey(admin, id, tenant, scopes: scopes)
    }

    private static func addKey(
        _ admin: APIClient, _ id: String, _ tenant: String = "acme", scopes: JSONValue? = nil
    ) async throws -> String {
        var body = JSONObject(members: [
            .init(key: "userId", value: .string(id)), .init(key: "tenantId", value: .string(tenant)),
        ])
        if let scopes { body["scopes"] = scopes }
        let answer = try await admin.send("POST", "/admin/keys", .object(body))
        #expect(answer.status == 201)
        return try #require(answer.json["key"]?.string)
    }

    @Test func `nobody gets at another one's session or run by any route, and hears what everybody hears`() async throws
    {
        let server = try TauProcess()
        let admin = APIClient(server)
        let owner = APIClient(server, key: try await Self.addUser(admin, "owner"))
        let session = try await owner.newSession(["name": "precious"])
        let run = try #require(try await owner.run("hello", in: session).first?.data["run"]?["id"]?.string)
        let before = try await owner.send("GET", "/sessions/\(session)/export").body
        let strangers = [
            ("another user", APIClient(server, key: try await Self.addUser(admin, "stranger"))),
            ("a namesake", APIClient(server, key: try await Self.addUser(admin, "owner", "other"))),
            ("an admin of the tenant", APIClient(server, key: try await Self.addUser(admin, "boss", role: "admin"))),
            ("the one who runs the server", admin),
        ]
        let operations = try await Self.operations(server).filter(\.takesSubject)
        // A route that is forgotten here, or that the document forgets, is noticed.
        #expect(operations.count == 21)
        for operation in operations {
            for (name, stranger) in strangers {
                let place = "\(operation.method) \(operation.path) by \(name)"
                let theirs = try await stranger.send(
                    operation.method, operation.path(session: session, run: run), Self.body(operation))
                let nothing = try await stranger.send(
                    operation.method, operation.path(session: "no-such", run: "no-such"), Self.body(operation))
                #expect(theirs.status == 404 && theirs.code == "not_found", "\(place): \(theirs.status)")
                #expect(theirs.body == nothing.body, "\(place) is told apart")
            }
        }
        for (name, stranger) in strangers {
            for query in ["", "?q=precious", "?q=hello"] {
                #expect(try await stranger.get("/sessions\(query)")["data"]?.array == [], "the list of \(name)")
            }
        }
        // Nothing of all that has changed anything, and the owner may.
        #expect(try await owner.send("GET", "/sessions/\(session)/export").body == before)
        let seen = try await owner.get("/sessions/\(session)")
        #expect(seen["userId"] == "owner" && seen["tenantId"] == "acme")
        #expect(try await owner.send("GET", "/runs/\(run)").status == 200)
        #expect(try await owner.get("/sessions?q=precious")["data"]?.array?.count == 1)
        server.stop()
    }

    /// Enough of a body to get as far as the handler.
    private static func body(_ operation: Operation) -> JSONValue? {
        switch operation.path.split(separator: "/").last {
        case "runs" where operation.method == "POST": ["message": "x"]
        case "steer", "follow-up": ["message": "x"]
        case "branch": ["entryId": .null]
        case "{toolCallId}": ["decision": "approve"]
        case "{entryId}": ["label": "x"]
        default: ["GET", "DELETE"].contains(operation.method) ? nil : [:]
        }
    }

    @Test func `every route needs a valid key, and just its scope`() async throws {
        let server = try TauProcess()
        let admin = APIClient(server)
        let revoked = try await Self.addUser(admin, "gone")
        let id = try #require(revoked.split(separator: "_").dropFirst().first)
        #expect(try await admin.send("DELETE", "/admin/keys/\(id)").status == 204)
        let disabled = try await Self.addUser(admin, "disabled")
        let change = try await admin.send("PATCH", "/admin/users/disabled?tenantId=acme", ["disabled": true])
        #expect(change.json["disabled"] == true)
        let bad = [nil, "nonsense", revoked, disabled, "tau_\(id)_wrong", "eyJhbGciOiJub25lIn0.e30."]
        let scopes = [
            "sessions:read", "sessions:write", "runs:read", "runs:write", "approvals:write", "usage:read", "admin",
        ]
        // Each key has all scopes but one.
        var lacking: [String: APIClient] = [:]
        _ = try await Self.addUser(admin, "narrow", role: "admin")
        for scope in scopes {
            let others = JSONValue.array(scopes.filter { $0 != scope }.map { .string($0) })
            lacking[scope] = APIClient(server, key: try await Self.addKey(admin, "narrow", scopes: others))
        }
        // No key of a user has this one.
        lacking["metrics"] = APIClient(server, key: try await Self.addUser(admin, "whole", role: "admin"))
        let operations = try await Self.operations(server)
        var refusals: Set<[UInt8]> = []
        for operation in operations {
            let place = "\(operation.method) \(operation.path)"
            let path = operation.path(session: "no-such", run: "no-such")
            guard let scope = operation.scope else {
                #expect(!operation.path.hasPrefix("/api/"), "\(place) is open to everybody")
                continue
            }
            for key in bad {
                let client = APIClient(url: server.url, key: key)
                let answer = try await client.send(operation.method, path, Self.body(operation))
                #expect(answer.status == 401, "\(place) with \(key ?? "no key")")
                #expect(answer.headers.first(name: "WWW-Authenticate") == "Bearer")
                refusals.insert(answer.body)
            }
            let narrow = try #require(lacking[scope], "\(place) has the scope \(scope)")
            let answer = try await narrow.send(operation.method, path, Self.body(operation))
            #expect(answer.status == 403 && answer.code == "forbidden", "\(place) without \(scope): \(answer.status)")
        }
        // One can learn nothing from the refusal.
        #expect(refusals.count == 1)
        // What is no route is no exception.
        #expect(try await APIClient(url: server.url, key: nil).send("GET", "/nothing").status == 401)
        server.stop()
    }

    @Test func `a viewer reads and changes nothing`() async throws {
        let server = try TauProcess()
        let admin = APIClient(server)
        let user = APIClient(server, key: try await Self.addUser(admin, "alice"))
        let session = try await user.newSession()
        let run = try #require(try await user.run("hello", in: session).first?.data["run"]?["id"]?.string)
        // The role bounds what keys may do that were made before.
        #expect(try await admin.send("PATCH", "/admin/users/alice?tenantId=acme", ["role": "viewer"]).status == 200)
        for operation in try await Self.operations(server) where operation.scope != nil {
            let answer = try await user.send(
                operation.method, operation.path(session: session, run: run), Self.body(operation))
            let mayRead = operation.method == "GET" && !["admin", "metrics"].contains(operation.scope)
            #expect((answer.status < 300) == mayRead, "\(operation.method) \(operation.path): \(answer.status)")
            if !mayRead { #expect(answer.status == 403) }
        }
        server.stop()
    }

    @Test func `an admin manages one tenant, and the others are not there`() async throws {
        let server = try TauProcess()
        let root = APIClient(server)
        let boss = APIClient(server, key: try await Self.addUser(root, "boss", role: "admin"))
        let other = try await Self.addUser(root, "other-user", "other")
        #expect(try await boss.send("POST", "/admin/users", ["id": "carol"]).json["tenantId"] == "acme")
        #expect(try await boss.send("POST", "/admin/users", ["id": "carol"]).code == "conflict")
        #expect(try await boss.send("POST", "/admin/users", ["id": "x", "tenantId": "other"]).status == 403)
        #expect(
            try await boss.send("POST", "/admin/keys", ["userId": "other-user", "tenantId": "other"]).status == 403)
        #expect(try await boss.send("POST", "/admin/keys", ["userId": "nobody"]).status == 404)
        for path in ["/admin/users", "/admin/keys"] {
            let seen = try await boss.get(path)["data"]?.array ?? []
            #expect(!seen.isEmpty && seen.allSatisfy { $0["tenantId"] == "acme" })
            #expect(try await boss.get(path + "?tenantId=other")["data"]?.array == [])
            #expect(try await root.get(path + "?tenantId=other")["data"]?.array?.count == 1)
        }
        for method in ["GET", "DELETE"] {
            #expect(try await boss.send(method, "/admin/users/other-user?tenantId=other").status == 404)
        }
        let id = try #require(other.split(separator: "_").dropFirst().first)
        #expect(try await boss.send("DELETE", "/admin/keys/\(id)").status == 404)
        #expect(try await APIClient(server, key: other).send("GET", "/sessions").status == 200)
        // Nobody can hand out more than a role has, or name what is no name.
        let greedy = try await boss.send("POST", "/admin/keys", ["userId": "carol", "scopes": ["admin"]])
        #expect(greedy.status == 400)
        for name in ["", "a b", "../x", "é", "-x", "\u{212A}elvin"] {
            #expect(try await root.send("POST", "/admin/users", ["id": .string(name)]).status == 400, "\(name)")
        }
        #expect(try await boss.send("POST", "/admin/keys", ["userId": "admin", "tenantId": "default"]).status == 403)
        server.stop()
    }

    @Test func `a user who is deleted leaves nothing, and the others have everything`() async throws {
        let server = try TauProcess()
        let root = APIClient(server)
        let alice = APIClient(server, key: try await Self.addUser(root, "alice"))
        let bob = APIClient(server, key: try await Self.addUser(root, "bob"))
        let sessions = [try await alice.newSession(), try await alice.newSession()]
        let kept = try await bob.newSession()
        _ = try await alice.run("Use bash with command=\"echo secret > file\".", in: sessions[0])
        // One of them at work.
        let held = try await alice.send(
            "POST", "/sessions/\(sessions[1])/runs", ["message": .string(TauProcess.heldMessage)])
        #expect(held.status == 202)
        let report = try await root.send("DELETE", "/admin/users/alice?tenantId=acme")
        #expect(report.status == 200 && report.json["removed"] == true && report.json["deletedSessions"] == 2)
        #expect(report.json["failures"]?.array == [])
        #expect(try await alice.send("GET", "/sessions").status == 401)
        #expect(try await root.send("GET", "/admin/users/alice?tenantId=acme").status == 404)
        #expect(try await root.get("/admin/keys")["data"]?.array?.count == 1)
        #expect(try await bob.send("GET", "/sessions/\(kept)").status == 200)
        // A new user of that name begins with nothing.
        let heir = APIClient(server, key: try await Self.addUser(root, "alice"))
        #expect(try await heir.get("/sessions")["data"]?.array == [])
        for id in sessions { #expect(try await heir.send("GET", "/sessions/\(id)").status == 404) }
        server.stop()
    }

    @Test func `a key that is revoked cuts the streams that it has opened, and not the run`() async throws {
        let server = try TauProcess(environment: ["TAU_HTTP_HEARTBEAT_SECONDS": "1"])
        let root = APIClient(server)
        let key = try await Self.addUser(root, "alice")
        let second = APIClient(server, key: try await Self.addKey(root, "alice"))
        let alice = APIClient(server, key: key)
        let session = try await alice.newSession()
        let id = String(try #require(key.split(separator: "_").dropFirst().first))
        var run = ""
        let events = try await alice.events(
            "POST", "/sessions/\(session)/runs", ["message": .string(TauProcess.heldMessage)]
        ) { event in
            if event.type == "run_state" { run = event.data["run"]?["id"]?.string ?? "" }
            if event.type == "tool_execution_start" { _ = try await root.send("DELETE", "/admin/keys/\(id)") }
            return true
        }
        #expect(events.last?.type == "error" && events.last?.data["code"] == "unauthenticated")
        #expect(try await second.get("/runs/\(run)")["status"] == "running")
        try server.release(session)
        let rest = try await second.events("GET", "/runs/\(run)/events")
        #expect(rest.finalStatus == "completed")
        server.stop()
    }
}
