import Foundation
import Glibc
import NIOHTTP1
import TauCore
import TauTestKit
import Testing

/// What a server does with requests that no client of good will sends.
@Suite(.ownThreads, .timeLimit(.minutes(3))) struct HardeningTests {
    private static func request(_ server: TauProcess, _ first: String, _ more: String = "") -> String {
        "\(first) HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(server.key)\r\n\(more)\r\n"
    }

    @Test func `what can be read in two ways is read in none`() throws {
        let server = try TauProcess()
        let path = "/api/agent/v1/sessions"
        let vectors = [
            ("both lengths", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            ("two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n", "{}"),
            ("a list of lengths", "Content-Length: 2, 2\r\n", "{}"),
            ("a signed length", "Content-Length: +2\r\n", "{}"),
            ("a hexadecimal length", "Content-Length: 0x2\r\n", "{}"),
            ("an unknown coding", "Transfer-Encoding: xchunked\r\n", "{}"),
            ("a coding behind chunked", "Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
            ("a space before the colon", "Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
            ("a tab before the name", "\tTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            ("a name with a space", "X Y: z\r\n", ""),
            ("a value with NUL", "X-Y: a\0b\r\n", ""),
            ("a huge chunk", "Transfer-Encoding: chunked\r\n", "FFFFFFFFFFFFFFFF1\r\n{}\r\n"),
            ("a negative chunk", "Transfer-Encoding: chunked\r\n", "-1\r\n{}\r\n0\r\n\r\n"),
            ("a chunk in another notation", "Transfer-Encoding: chunked\r\n", "0x2\r\n{}\r\n0\r\n\r\n"),
        ]
        for (name, headers, body) in vectors {
            let connection = try RawConnection(server.url)
            let victim = Self.request(server, "GET /health/live", "Connection: close\r\n")
            connection.send(Self.request(server, "POST \(path)", headers) + body + victim)
            let answer = connection.readToEnd() ?? "nothing"
            // Nothing of it may be taken for a second request.
            let answers = answer.components(separatedBy: "HTTP/1.1 ").count - 1
            #expect(answers <= 1 && !answer.contains("201 Created"), "\(name): \(answer.prefix(300))")
            #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 4"), "\(name): \(answer.prefix(100))")
        }
        #expect(try TauProcess.command(["version"], in: "/tmp").code == 0)
        server.stop()
    }

    @Test func `heads have bounds, and who is slow to send one is cut off`() throws {
        let server = try TauProcess(environment: ["TAU_HTTP_HEAD_SECONDS": "1", "TAU_HTTP_IDLE_SECONDS": "1"])
        let many = (0..<200).map { "X-\($0): y\r\n" }.joined()
        let long = "X-Long: \(String(repeating: "a", count: 20_000))\r\n"
        for headers in [many, long] {
            let connection = try RawConnection(server.url)
            connection.send(Self.request(server, "GET /api/agent/v1/sessions", headers))
            let answer = connection.readToEnd() ?? "nothing"
            #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 4"), "\(answer.prefix(100))")
        }
        // Nothing, or a part: both end on their own.
        for part in ["", "GET /health/live HTTP/1.1\r\nHost:"] {
            let connection = try RawConnection(server.url)
            if !part.isEmpty { connection.send(part) }
            #expect(connection.readToEnd() == "")
        }
        let kept = try RawConnection(server.url)
        kept.send("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(kept.readToEnd()?.hasPrefix("HTTP/1.1 200") == true)
        server.stop()
    }

    @Test func `every answer keeps browsers from doing anything with it, and says nothing that was asked`() async throws
    {
        let server = try TauProcess()
        let client = APIClient(server)
        for (method, path) in [
            ("GET", "/sessions"), ("GET", "/sessions/nothing"), ("POST", "/sessions/%3Cscript%3E/fork"),
            ("GET", "/health"),
            ("OPTIONS", "/sessions"),
        ] {
            let answer = try await client.send(
                method, path, headers: ["Origin": "https://evil.example", "Access-Control-Request-Method": "POST"])
            #expect(answer.headers.first(name: "X-Content-Type-Options") == "nosniff", "\(path)")
            #expect(answer.headers.first(name: "Content-Security-Policy")?.contains("default-src 'none'") == true)
            #expect(answer.headers.first(name: "Cache-Control") == "no-store")
            #expect(answer.headers.filter { $0.name.lowercased().hasPrefix("access-control") }.isEmpty)
            let text = String(decoding: answer.body, as: UTF8.self)
            #expect(!text.contains("evil") && !text.contains("script>"), "\(text)")
        }
        server.stop()
    }

    @Test func `bodies that are no plain JSON are refused quickly, and change nothing`() async throws {
        let server = try TauProcess()
        let client = APIClient(server)
        let deep = String(repeating: "[", count: 100_000)
        for body in [
            deep, String(repeating: #"{"a":"#, count: 100_000), #"{"name":"a","name":"b"}"#, "[1,]",
            #"{"name":"\ud800"}"#,
            "\u{FEFF}{}", #"{"metadata":{"x":1e400}"#, "{\"name\":\"\u{1}\"}", #"{"metadata": NaN}"#,
            #"{"unknown": 1}"#,
        ] {
            let answer = try await client.send("POST", "/sessions", bytes: Array(body.utf8))
            #expect(answer.status == 400 && answer.code == "bad_request", "\(body.prefix(30)): \(answer.status)")
        }
        #expect(try await client.get("/sessions")["data"]?.array == [])
        server.stop()
    }

    @Test func `one user has so many streams open and not more, and others have theirs`() async throws {
        let server = try TauProcess(environment: ["TAU_HTTP_MAX_STREAMS_PER_USER": "2"])
        let root = APIClient(server)
        _ = try await root.send("POST", "/admin/users", ["id": "alice"])
        let key = try await root.send("POST", "/admin/keys", ["userId": "alice"]).json["key"]?.string
        let alice = APIClient(server, key: key)
        let session = try await alice.newSession()
        let run = try await alice.send(
            "POST", "/sessions/\(session)/runs", ["message": .string(TauProcess.heldMessage)])
        let path = "/runs/\(try #require(run.json["id"]?.string))/events"
        _ = try await alice.events("GET", path) { _ in
            _ = try await alice.events("GET", path) { _ in
                let third = try await alice.send("GET", path)
                #expect(third.status == 429 && third.code == "rate_limited")
                let other = try await root.newSession()
                #expect(try await root.run("hello", in: other).finalStatus == "completed")
                return false
            }
            return false
        }
        // Places come back when their streams are gone.
        try server.release(session)
        let deadline = ContinuousClock.now + .seconds(20)
        var status = 429
        while status == 429, ContinuousClock.now < deadline { status = try await alice.send("GET", path).status }
        #expect(status == 200)
        server.stop()
    }

    @Test func `tokens of a configured issuer are let in, and secrets may stand in files`() async throws {
        let directory = try TemporaryDirectory()
        let secret = "a-secret-of-thirty-two-bytes-or-more!"
        try Data("\(secret)\n".utf8).write(to: URL(fileURLWithPath: directory.path + "/jwt-secret"))
        try Data("an-admin-key-that-stands-in-a-file\n".utf8).write(
            to: URL(fileURLWithPath: directory.path + "/admin-key"))
        let environment = [
            "TAU_AUTH_JWT_SECRET_FILE": directory.path + "/jwt-secret", "TAU_AUTH_JWT_ISSUER": "https://issuer.example",
            "TAU_AUTH_JWT_AUDIENCE": "tau", "TAU_AUTH_JWT_ALGORITHMS": "HS256", "TAU_AUTH_ADMIN_KEY": "",
            "TAU_AUTH_ADMIN_KEY_FILE": directory.path + "/admin-key",
        ]
        let server = try TauProcess(in: directory, environment: environment)
        let root = APIClient(server, key: "an-admin-key-that-stands-in-a-file")
        #expect(try await root.send("GET", "/admin/users").status == 200)
        func token(_ user: String, age: Int = 0, audience: String = "tau") throws -> String {
            let time = Int(Date().timeIntervalSince1970) - age
            let claims =
                #"{"iss":"https://issuer.example","aud":"\#(audience)","sub":"\#(user)","tenant":"acme","iat":\#(time),"exp":\#(time + 60)}"#
            let script = """
                import base64, hashlib, hmac, sys
                e = lambda b: base64.urlsafe_b64encode(b).rstrip(b'=')
                s = e(b'{"alg":"HS256","typ":"JWT"}') + b'.' + e(sys.argv[1].encode())
                print((s + b'.' + e(hmac.new(sys.argv[2].encode(), s, hashlib.sha256).digest())).decode())
                """
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["python3", "-c", script, claims, secret]
            let output = Pipe()
            process.standardOutput = output
            try process.run()
            let data = output.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let alice = APIClient(server, key: try token("alice"))
        let session = try await alice.newSession()
        #expect(try await alice.get("/sessions/\(session)")["tenantId"] == "acme")
        let bob = APIClient(server, key: try token("bob"))
        #expect(try await bob.send("GET", "/sessions/\(session)").status == 404)
        for bad in [try token("alice", age: 100), try token("alice", audience: "other")] {
            #expect(try await APIClient(server, key: bad).send("GET", "/sessions").status == 401)
        }
        // Who is disabled here is out, whatever the issuer says.
        #expect(try await root.send("POST", "/admin/users", ["id": "alice", "tenantId": "acme"]).status == 201)
        _ = try await root.send("PATCH", "/admin/users/alice?tenantId=acme", ["disabled": true])
        #expect(try await alice.send("GET", "/sessions").status == 401)
        server.stop()
        #expect(!server.log.contains(secret) && !server.log.contains("stands-in-a-file"))
    }
}
