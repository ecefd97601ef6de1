import Foundation
import NIOHTTP1
import TauCore
import TauTestKit
import Testing

/// The configurations of `deploy/` with the real programs in front of a real server.
@Suite(.ownThreads, .timeLimit(.minutes(3))) struct ReverseProxyTests {
    enum Kind: String, CaseIterable { case nginx, caddy, haproxy }

    /// A proxy with the project's configuration, on a port of its own and with another server behind it.
    private static func start(_ kind: Kind, before server: TauProcess, in directory: TemporaryDirectory) async throws
        -> (proxy: ServerTool, url: String)
    {
        let root =
            URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path + "/deploy/"
        let port = try LoopbackPort.reserve()
        let target = try #require(server.url.split(separator: "/").last)
        func written(_ name: String, _ text: String) throws -> String {
            try Data(text.utf8).write(to: URL(fileURLWithPath: directory.path + "/" + name))
            return directory.path + "/" + name
        }
        func source(_ path: String) throws -> String {
            try String(contentsOfFile: root + path, encoding: .utf8).replacing("127.0.0.1:8080", with: target)
        }
        let proxy: ServerTool
        switch kind {
        case .nginx:
            let part = try written(
                "tau.conf", try source("nginx/tau.conf").replacing("listen 80;", with: "listen 127.0.0.1:\(port);"))
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map {
                "\($0)_temp_path \(directory.path)/\($0);"
            }
            let whole = """
                daemon off; master_process off; pid \(directory.path)/nginx.pid; error_log stderr;
                events {}
                http { access_log off; \(temporary.joined(separator: " ")) include \(part); }
                """
            proxy = try ServerTool(
                "/usr/sbin/nginx", ["-p", directory.path, "-c", try written("nginx.conf", whole)], in: directory.path)
        case .caddy:
            let text = try source("caddy/Caddyfile").replacing(
                "tau.example.com {", with: "{\n\tadmin off\n}\nhttp://127.0.0.1:\(port) {")
            proxy = try ServerTool(
                "/usr/bin/caddy", ["run", "--adapter", "caddyfile", "--config", try written("Caddyfile", text)],
                in: directory.path)
        case .haproxy:
            let text = try source("haproxy/haproxy.cfg").replacing("bind :80\n", with: "bind 127.0.0.1:\(port)\n")
                .replacing("maxconn 20000", with: "maxconn 1000")
            proxy = try ServerTool(
                "/usr/sbin/haproxy", ["-db", "-f", try written("haproxy.cfg", text)], in: directory.path)
        }
        let url = "http://127.0.0.1:\(port)"
        // It listens, and has seen that the server is ready.
        let deadline = ContinuousClock.now + .seconds(20)
        while (try? await APIClient(url: url, key: nil).send("GET", "/health/ready"))?.status != 200 {
            guard ContinuousClock.now < deadline else {
                proxy.stop()
                throw TauProcess.Failure(description: "\(kind) does not serve: \(proxy.output)")
            }
        }
        return (proxy, url)
    }

    @Test(arguments: Kind.allCases) func `events come through at once, and the caller's address is known`(
        _ kind: Kind
    ) async throws {
        let directory = try TemporaryDirectory()
        let server = try TauProcess(environment: [
            "TAU_HTTP_TRUSTED_PROXIES": "127.0.0.1", "TAU_LIMITS_FAILURES": "10", "TAU_HTTP_HEARTBEAT_SECONDS": "1",
        ])
        let (proxy, url) = try await Self.start(kind, before: server, in: directory)
        defer {
            proxy.stop()
            server.stop()
        }
        let client = APIClient(url: url, key: server.key)
        let session = try await client.newSession()
        var isReleased = false
        let body: JSONValue = ["message": .string(TauProcess.heldMessage)]
        let events = try await client.events("POST", "/sessions/\(session)/runs", body) { event in
            // It comes while the command waits: nothing of the stream is held back.
            if event.type == "tool_execution_start" {
                try server.release(session)
                isReleased = true
            }
            return true
        }
        #expect(isReleased && events.finalStatus == "completed")
        #expect(try await client.send("GET", "/metrics").status == 403)
        // A large answer and a large request go through whole.
        let file = try await client.send("GET", "/sessions/\(session)/export").body
        #expect(file.count > 500)
        // Whatever address a caller claims, its tries are counted together.
        var statuses: [Int] = []
        for number in 0..<14 {
            let answer = try await APIClient(url: url, key: "wrong").send(
                "GET", "/sessions", headers: ["X-Forwarded-For": "203.0.113.\(number)"])
            statuses.append(answer.status)
        }
        #expect(statuses.prefix(10).allSatisfy { $0 == 401 } && statuses.suffix(4).allSatisfy { $0 == 429 })
    }

    @Test func `a proxy is asked not to hold a stream back, whatever its configuration says`() async throws {
        let directory = try TemporaryDirectory()
        let server = try TauProcess(in: directory)
        let client = APIClient(server)
        let answer = try await client.send(
            "POST", "/sessions/\(try await client.newSession())/runs", ["message": "Hello"],
            headers: ["Accept": "text/event-stream"])
        #expect(answer.headers.first(name: "X-Accel-Buffering") == "no")
        #expect(answer.headers.first(name: "Cache-Control") == "no-cache")
        server.stop()
    }

    @Test(arguments: Kind.allCases) func `no request is hidden in another one`(_ kind: Kind) async throws {
        let directory = try TemporaryDirectory()
        let server = try TauProcess(environment: ["TAU_LOG_LEVEL": "debug"])
        let (proxy, url) = try await Self.start(kind, before: server, in: directory)
        defer { proxy.stop() }
        let hidden = "GET /smuggled HTTP/1.1\r\nHost: x\r\nX: "
        let length = hidden.utf8.count
        let vectors = [
            ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + hidden),
            ("Content-Length: \(length + 5)\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + hidden),
            ("Content-Length: \(length)\r\nContent-Length: 0\r\n", hidden),
            ("Content-Length: 0\r\nContent-Length: \(length)\r\n", hidden),
            ("Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" + hidden),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n" + hidden),
            ("Transfer-Encoding : chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" + hidden),
            ("Transfer-Encoding:\u{0B}chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" + hidden),
            ("X: y\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n" + hidden),
            ("Transfer-Encoding: chunked\r\n", "1;a=\"\n\r\nx\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            ("Content-Length: +5\r\n", "0\r\n\r\n" + hidden),
        ]
        for (headers, body) in vectors {
            let connection = try RawConnection(url)
            connection.send(
                "POST /api/agent/v1/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(server.key)\r\n"
                    + headers + "\r\n" + body)
            // Somebody else's request on a connection that the proxy may use for both.
            let other = try await APIClient(url: url, key: server.key).send("GET", "/sessions?limit=1")
            #expect(other.status == 200, "\(headers)")
        }
        server.stop()
        // What the body held was not taken for a request, unless the client itself had sent it behind a whole one.
        let hits = server.log.split(separator: "\n").filter { $0.contains("/smuggled") }
        #expect(hits.isEmpty, "\(hits)")
    }
}
