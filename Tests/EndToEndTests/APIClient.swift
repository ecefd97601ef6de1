import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import TauCore
import TauWire

/// Speaks to a server as any client would.
struct APIClient {
    struct Answer {
        var status: Int
        var headers: HTTPHeaders
        var body: [UInt8]

        var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }
        var code: String? { json["code"]?.string }
    }

    struct Event: Equatable {
        var id: Int
        var type: String
        var data: JSONValue
    }

    let url: String
    let key: String?

    /// What lies outside the API.
    private static let operations = ["/health", "/metrics"]

    /// A refused connection is an answer here, not something to try again.
    private static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        // Each event stream has one of its own.
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 512
        return HTTPClient(configuration: configuration)
    }()

    init(_ server: TauProcess, key: String? = nil) {
        url = server.url
        self.key = key ?? server.key
    }

    init(url: String, key: String?) {
        self.url = url
        self.key = key
    }

    private func request(_ method: String, _ path: String, _ body: [UInt8]?, _ headers: [String: String])
        -> HTTPClientRequest
    {
        var request = HTTPClientRequest(
            url: url + (Self.operations.contains { path.hasPrefix($0) } ? "" : "/api/agent/v1") + path)
        request.method = HTTPMethod(rawValue: method)
        if let key { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
        for (name, value) in headers { request.headers.replaceOrAdd(name: name, value: value) }
        if let body { request.body = .bytes(ByteBuffer(bytes: body)) }
        return request
    }

    func send(
        _ method: String, _ path: String, bytes: [UInt8]?, headers: [String: String] = [:]
    ) async throws -> Answer {
        let response = try await Self.http.execute(request(method, path, bytes, headers), timeout: .seconds(60))
        let body = try await response.body.collect(upTo: 1 << 28)
        return Answer(status: Int(response.status.code), headers: response.headers, body: Array(body.readableBytesView))
    }

    func send(
        _ method: String, _ path: String, _ json: JSONValue? = nil, headers: [String: String] = [:]
    ) async throws -> Answer {
        try await send(method, path, bytes: json?.serialized, headers: headers)
    }

    /// Sends a body whose length is not told beforehand.
    func sendInChunks(_ method: String, _ path: String, _ bytes: [UInt8]) async throws -> Answer {
        var request = request(method, path, nil, [:])
        let chunks = stride(from: 0, to: bytes.count, by: 500).map {
            ByteBuffer(bytes: bytes[$0..<min($0 + 500, bytes.count)])
        }
        request.body = .stream(
            AsyncStream { continuation in
                for chunk in chunks { continuation.yield(chunk) }
                continuation.finish()
            }, length: .unknown)
        let response = try await Self.http.execute(request, timeout: .seconds(60))
        let body = try await response.body.collect(upTo: 1 << 20)
        return Answer(status: Int(response.status.code), headers: response.headers, body: Array(body.readableBytesView))
    }

    /// What lies at any address.
    static func fetch(_ url: String) async throws -> [UInt8] {
        let response = try await http.execute(HTTPClientRequest(url: url), timeout: .seconds(60))
        return Array(try await response.body.collect(upTo: 1 << 24).readableBytesView)
    }

    func get(_ path: String) async throws -> JSONValue { try await send("GET", path).json }

    func newSession(_ fields: JSONValue = [:]) async throws -> String {
        try await send("POST", "/sessions", fields).json["id"]?.string ?? ""
    }

    /// The events of a stream until it ends, or until `body` returns false: then the connection is closed.
    func events(
        _ method: String, _ path: String, _ json: JSONValue? = nil, headers: [String: String] = [:],
        while body: (Event) async throws -> Bool = { _ in true }
    ) async throws -> [Event] {
        var headers = headers
        headers["Accept"] = "text/event-stream"
        let response = try await Self.http.execute(
            request(method, path, json?.serialized, headers), timeout: .seconds(120))
        guard response.status == .ok else {
            let text = String(buffer: try await response.body.collect(upTo: 1 << 20))
            throw TauProcess.Failure(description: "\(response.status): \(text)")
        }
        var parser = EventStreamParser()
        var events: [Event] = []
        for try await chunk in response.body {
            var arrived: [ServerSentEvent] = []
            try parser.push(Array(chunk.readableBytesView), into: &arrived)
            for found in arrived {
                let event = Event(
                    id: Int(found.id) ?? -1, type: found.type, data: try JSONValue(parsing: found.data))
                events.append(event)
                guard try await body(event) else { return events }
            }
        }
        return events
    }

    /// The raw bytes of a stream, as they come.
    func bytes(
        _ method: String, _ path: String, _ json: JSONValue, _ body: ([UInt8]) async throws -> Void
    ) async throws {
        let request = request(method, path, json.serialized, ["Accept": "text/event-stream"])
        let response = try await Self.http.execute(request, timeout: .seconds(60))
        for try await chunk in response.body { try await body(Array(chunk.readableBytesView)) }
    }

    /// Sends a message and follows its run to the end.
    func run(_ message: String, in session: String, _ more: JSONValue = [:]) async throws -> [Event] {
        var fields = more.object ?? JSONObject()
        fields.update("message", to: .string(message))
        return try await events("POST", "/sessions/\(session)/runs", .object(fields))
    }
}

extension [APIClient.Event] {
    /// The text that was streamed.
    var text: String {
        compactMap { event in
            let update = event.data["assistantMessageEvent"]
            return update?["type"] == "text_delta" ? update?["delta"]?.string : nil
        }.joined()
    }

    var finalStatus: String? { last?.data["run"]?["status"]?.string }
}
