internal import AsyncHTTPClient
internal import NIOCore
internal import NIOHTTP1
internal import TauCore
internal import TauWire

/// Speaks the HTTP API for the commands.
struct TauClient: Sendable {
    /// One event of a run.
    struct Event: Sendable {
        /// Grows by one within a run.
        var number: Int
        var type: String
        var json: JSONValue
        /// The event's data as it came.
        var data: [UInt8]
    }

    let address: ServerAddress
    private let http: HTTPClient

    /// Bytes of an answer that is read whole; an exported session is one.
    private static let maxAnswerBytes = 1 << 30
    private static let timeout = TimeAmount.seconds(30)
    /// Seconds of silence after which a stream counts as broken: the server sends a sign of life every 15.
    private static let streamIdle = TimeAmount.seconds(60)

    private init(_ address: ServerAddress, _ http: HTTPClient) {
        self.address = address
        self.http = http
    }

    /// Runs `body` with a client, whose connections are closed afterwards.
    static func with<Result: Sendable>(
        _ address: ServerAddress, _ body: @Sendable (TauClient) async throws -> Result
    ) async throws -> Result {
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(5)
        configuration.timeout.read = streamIdle
        configuration.connectionPool.retryConnectionEstablishment = false
        let http = HTTPClient(configuration: configuration)
        do {
            let result = try await body(TauClient(address, http))
            try await http.shutdown()
            return result
        } catch {
            // The first error is the one to tell.
            try? await http.shutdown()
            throw error
        }
    }

    private func request(
        _ method: String, _ path: String, _ body: [UInt8]?, accept: String, lastEventID: Int?
    ) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: address.url + "/api/agent/v1" + path)
        request.method = HTTPMethod(rawValue: method)
        request.headers.add(name: "Authorization", value: "Bearer \(address.key)")
        request.headers.add(name: "Accept", value: accept)
        if let lastEventID { request.headers.add(name: "Last-Event-ID", value: String(lastEventID)) }
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        return request
    }

    private func execute(_ request: HTTPClientRequest, timeout: TimeAmount?) async throws -> HTTPClientResponse {
        do {
            if let timeout { return try await http.execute(request, timeout: timeout) }
            return try await http.execute(request, deadline: .distantFuture)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw ClientError(.unreachable, "the server at \(address.url) does not answer: \(error)")
        }
    }

    // MARK: Calls

    /// One call; an answer that is a problem is thrown.
    func call(_ method: String, _ path: String, bytes body: [UInt8]?) async throws -> [UInt8] {
        let request = request(method, path, body, accept: "application/json", lastEventID: nil)
        let response = try await execute(request, timeout: Self.timeout)
        let answer = Array(try await response.body.collect(upTo: Self.maxAnswerBytes).readableBytesView)
        let status = Int(response.status.code)
        guard (200..<300).contains(status) else { throw ClientError(status: status, body: answer) }
        return answer
    }

    func call(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
        let answer = try await call(method, path, bytes: body?.serialized)
        return answer.isEmpty ? .null : try JSONValue(parsing: answer)
    }

    /// All pages of a list, or the first `limit` elements.
    func list(_ path: String, query: [(String, String)] = [], limit: Int = .max) async throws -> [JSONValue] {
        var elements: [JSONValue] = []
        var cursor: String?
        repeat {
            var parts = query + [("limit", String(min(200, limit - elements.count)))]
            if let cursor { parts.append(("cursor", cursor)) }
            let text = parts.map { "\($0.0)=\(Self.encoded($0.1))" }.joined(separator: "&")
            let page = try await call("GET", "\(path)?\(text)")
            elements += page["data"]?.array ?? []
            cursor = page["nextCursor"]?.string
        } while cursor != nil && elements.count < limit
        return elements
    }

    /// The events of a stream, each handed on as it comes. A connection that breaks before the run has ended is an error.
    func events(
        _ method: String, _ path: String, _ body: JSONValue?, after number: Int?,
        _ handle: (Event) async throws -> Void
    ) async throws {
        let request = request(method, path, body?.serialized, accept: "text/event-stream", lastEventID: number)
        let response = try await execute(request, timeout: nil)
        guard response.status == .ok else {
            let answer = Array(try await response.body.collect(upTo: 1 << 20).readableBytesView)
            throw ClientError(status: Int(response.status.code), body: answer)
        }
        var parser = EventStreamParser()
        for try await chunk in response.body {
            var arrived: [ServerSentEvent] = []
            try parser.push(Array(chunk.readableBytesView), into: &arrived)
            for event in arrived {
                let json = try JSONValue(parsing: event.data)
                try await handle(Event(number: Int(event.id) ?? 0, type: event.type, json: json, data: event.data))
            }
        }
    }

    /// Percent-encodes everything but unreserved characters (RFC 3986, 2.3).
    static func encoded(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
