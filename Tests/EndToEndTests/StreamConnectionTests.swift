import Foundation
import TauCore
import TauTestKit
import Testing

/// Event streams and the connections that carry them.
@Suite(.ownThreads, .timeLimit(.minutes(2))) struct StreamConnectionTests {
    private static func request(_ key: String, _ line: String, body: String = "") -> String {
        "\(line) HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(key)\r\nAccept: text/event-stream\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    private static let lastChunk = "\r\n0\r\n\r\n"

    @Test func `a connection carries one stream after the other, also where the next request comes early`() async throws
    {
        let server = try TauProcess()
        let session = try await APIClient(server).newSession()
        let turn = Self.request(
            server.key, "POST /api/agent/v1/sessions/\(session)/runs", body: #"{"message":"hello"}"#)
        let connection = try RawConnection(server.url)
        for _ in 1...3 {
            connection.send(turn)
            let answer = try #require(connection.read(to: Self.lastChunk))
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.contains(#""status":"completed""#))
        }
        connection.send(turn + Self.request(server.key, "GET /api/agent/v1/sessions/\(session)"))
        _ = try #require(connection.read(to: Self.lastChunk))
        #expect(try #require(connection.read(to: "\r\n\r\n")).hasPrefix("HTTP/1.1 200 OK\r\n"))
        server.stop()
    }

    enum Departure: CaseIterable { case closed, halfClosed }

    @Test(arguments: Departure.allCases)
    func `a stream's place is free as soon as its client has gone, though the run is silent`(
        _ departure: Departure
    ) async throws {
        // Not even a sign of life is written in this time.
        let server = try TauProcess(environment: ["TAU_HTTP_MAX_STREAMS_PER_USER": "1"])
        let root = APIClient(server)
        _ = try await root.send("POST", "/admin/users", ["id": "alice"])
        let key = try #require(try await root.send("POST", "/admin/keys", ["userId": "alice"]).json["key"]?.string)
        let client = APIClient(server, key: key)
        let session = try await client.newSession()
        let run = try await client.send(
            "POST", "/sessions/\(session)/runs", ["message": .string(TauProcess.heldMessage)])
        let path = "/runs/\(try #require(run.json["id"]?.string))/events"
        // The first one is not the last one on its connection.
        var stream: RawConnection? = try RawConnection(server.url)
        stream?.send(Self.request(key, "GET /health/live"))
        _ = try #require(stream?.read(to: "\r\n\r\n"))
        stream?.send(Self.request(key, "GET /api/agent/v1" + path))
        _ = try #require(stream?.read(to: "tool_execution_start"))
        #expect(try await client.send("GET", path).status == 429)
        let start = ContinuousClock.now
        if departure == .closed { stream = nil } else { stream?.finishSending() }
        var isTaken = true
        while isTaken, ContinuousClock.now < start + .seconds(10) {
            let next = try RawConnection(server.url)
            next.send(Self.request(key, "GET /api/agent/v1" + path))
            isTaken = next.read(to: "\r\n")?.contains(" 429 ") ?? true
        }
        #expect(!isTaken)
        withExtendedLifetime(stream) {}
        try server.release(session)
        server.stop()
    }
}
