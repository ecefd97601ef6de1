import NIOHTTP1
import TauCore
import TauTestKit
import Testing

/// What one may ask how often, over HTTP.
@Suite(.ownThreads) struct RateLimitTests {
    /// Windows in which nothing comes back while a test runs.
    private static func server(_ environment: [String: String]) throws -> TauProcess {
        try TauProcess(environment: ["TAU_LIMITS_WINDOW_SECONDS": "36000"].merging(environment) { _, new in new })
    }

    @Test func `every answer tells what is left, and who asks too often is told when to come back`() async throws {
        let server = try Self.server(["TAU_LIMITS_REQUESTS": "4", "TAU_LIMITS_RUNS": "2"])
        let client = APIClient(server)
        let created = try await client.send("POST", "/sessions", [:])
        #expect(created.headers.first(name: "RateLimit-Policy") == #""default";q=4;w=36000"#)
        #expect(created.headers.first(name: "RateLimit") == #""default";r=3;t=9000"#)
        let session = try #require(created.json["id"]?.string)
        // An error counts, and tells it, too.
        let missing = try await client.send("GET", "/sessions/missing-one")
        #expect(missing.status == 404)
        #expect(missing.headers.first(name: "RateLimit")?.hasPrefix(#""default";r=2;"#) == true)
        for left in [1, 0] {
            let answer = try await client.send("GET", "/sessions/\(session)")
            #expect(answer.status == 200)
            #expect(answer.headers.first(name: "RateLimit")?.hasPrefix("\"default\";r=\(left);") == true)
        }
        let refused = try await client.send("GET", "/sessions/\(session)")
        #expect(refused.status == 429 && refused.code == "rate_limited")
        #expect(refused.headers.first(name: "Content-Type") == "application/problem+json")
        let wait = try #require(refused.headers.first(name: "Retry-After").flatMap { Int($0) })
        #expect((8000...9000).contains(wait))
        #expect(refused.json["detail"]?.string?.contains("\(wait) seconds") == true)
        #expect(refused.headers.first(name: "X-Request-Id") != nil)
        // Runs are counted apart, and what watches the server is not counted.
        for status in [202, 409, 429] {
            let path = "/sessions/\(session)/runs"
            let answer = try await client.send("POST", path, ["message": .string(TauProcess.heldMessage)])
            #expect(answer.status == status)
            #expect(answer.headers.first(name: "RateLimit-Policy") == #""runs";q=2;w=36000"#)
        }
        #expect(try await client.send("GET", "/health").status == 200)
        try server.release(session)
        server.stop()
    }

    @Test func `keys are tried only so often from one address, and who has one is not kept out`() async throws {
        let server = try Self.server(["TAU_LIMITS_FAILURES": "3"])
        let bad = APIClient(server, key: "a-key-that-is-not-valid")
        var bodies: Set<[UInt8]> = []
        for number in 0..<3 {
            let answer = try await bad.send(
                "GET", "/sessions", headers: ["X-Forwarded-For": "198.51.100.\(number)"])
            #expect(answer.status == 401)
            bodies.insert(answer.body)
        }
        #expect(bodies.count == 1)
        // Nobody is believed who is no proxy of ours.
        let refused = try await bad.send("GET", "/sessions", headers: ["X-Forwarded-For": "198.51.100.9"])
        #expect(refused.status == 429 && refused.code == "rate_limited")
        #expect(refused.headers.first(name: "Retry-After") != nil)
        #expect(try await APIClient(server).send("GET", "/sessions").status == 200)
        server.stop()
    }

    @Test func `behind a proxy of ours each client is counted for itself`() async throws {
        let server = try Self.server(["TAU_LIMITS_FAILURES": "1", "TAU_HTTP_TRUSTED_PROXIES": "127.0.0.1,10.0.0.0/8"])
        let bad = APIClient(server, key: "a-key-that-is-not-valid")
        for (client, status) in [
            ("198.51.100.1", 401), ("198.51.100.2", 401), ("198.51.100.1", 429), ("5.5.5.5, 198.51.100.1", 429),
            ("198.51.100.1, 10.1.1.1", 429), ("198.51.100.3, 10.1.1.1", 401),
        ] {
            let answer = try await bad.send("GET", "/sessions", headers: ["X-Forwarded-For": client])
            #expect(answer.status == status, "\(client)")
        }
        server.stop()
        let wrong = try TauProcess.command(
            ["serve", "--port", "0"], in: server.directory.path,
            environment: ["TAU_HTTP_TRUSTED_PROXIES": "proxy.example"])
        #expect(wrong.code == 78)
        #expect(wrong.errors.contains("http.trustedProxies"))
    }
}
