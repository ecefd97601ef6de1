internal import AsyncHTTPClient
internal import NIOCore
internal import NIOHTTP1
internal import NIOSSL
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

    /// Bytes of what is sent or read whole; a session file is the longest.
    static let maxTransferBytes = 1 << 30
    private static let timeout = Duration.seconds(30)
    /// Until the head of an answer has come, also where the answer itself may take long, or a model works for it.
    static let headTimeout = TimeAmount.minutes(10)
    /// Seconds of silence after which a stream counts as broken: the server sends a sign of life every 15.
    private static let streamIdle = TimeAmount.seconds(60)

    private init(_ address: ServerAddress, _ http: HTTPClient) {
        self.address = address
        self.http = http
    }

    /// Runs `body` with a client, whose connections are closed afterwards.
    static func with<Result: Sendable>(
        _ address: ServerAddress, silence: TimeAmount = streamIdle, _ body: @Sendable (TauClient) async throws -> Result
    ) async throws -> Result {
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(5)
        configuration.timeout.read = silence
        configuration.connectionPool.retryConnectionEstablishment = false
        var encryption = TLSConfiguration.makeClientConfiguration()
        switch address.trust {
        case .system: break
        case .file(let path): encryption.trustRoots = .file(path)
        case .ownMachine: encryption.certificateVerification = .none
        }
        configuration.tlsConfiguration = encryption
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

    /// What goes wrong between here and the server becomes an error of this client, wherever in the answer it happens.
    private func talking<Result>(_ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch let error as NIOTooManyBytesError {
            throw ClientError(.problem(code: "answer_too_large"), "the answer is too large: \(error)")
        } catch let error as JSONError {
            throw ClientError(.problem(code: "bad_answer"), "the server's answer is not JSON: \(error)")
        } catch  where !(error is CancellationError || error is ClientError) {
            throw ClientError(.unreachable, "the server at \(address.url) does not answer: \(error)")
        }
    }

    private func limited<Result: Sendable>(
        to limit: Duration?, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        guard let limit else { return try await body() }
        return try await withThrowingTaskGroup(of: Result.self) { group in
            group.addTask(operation: body)
            group.addTask {
                try await Task.sleep(for: limit)
                throw ClientError(.unreachable, "the server at \(address.url) took longer than \(limit)")
            }
            defer { group.cancelAll() }
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
    }

    // MARK: Calls

    /// The path of a session.
    static func path(ofSession id: String) -> String { "/sessions/\(encoded(id))" }

    /// A whole session, there or back: it may take as long as bytes flow. An answer that is a problem is thrown.
    func transfer(_ method: String, _ path: String, bytes body: [UInt8]? = nil) async throws -> [UInt8] {
        try await call(method, path, bytes: body, within: nil)
    }

    /// One ordinary call; an answer that is a problem is thrown.
    func call(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
        let answer = try await call(method, path, bytes: body?.serialized, within: Self.timeout)
        return answer.isEmpty ? .null : try await talking { try JSONValue(parsing: answer) }
    }

    /// A call that may take its time, because a model works for it, or much is to be done.
    func callPatiently(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
        let answer = try await call(method, path, bytes: body?.serialized, within: nil)
        return try await talking { try JSONValue(parsing: answer) }
    }

    private func call(
        _ method: String, _ path: String, bytes body: [UInt8]?, within limit: Duration?
    ) async throws -> [UInt8] {
        let request = request(method, path, body, accept: "application/json", lastEventID: nil)
        return try await limited(to: limit) {
            try await talking {
                let response = try await http.execute(request, timeout: Self.headTimeout)
                let answer = Array(try await response.body.collect(upTo: Self.maxTransferBytes).readableBytesView)
                let status = Int(response.status.code)
                guard (200..<300).contains(status) else { throw ClientError(status: status, body: answer) }
                return answer
            }
        }
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

    /// The events of a stream, each handed on as it comes. A connection that breaks is an error; one that ends is not.
    func events(
        _ method: String, _ path: String, _ body: JSONValue?, after number: Int?,
        _ handle: (Event) async throws -> Void
    ) async throws {
        let request = request(method, path, body?.serialized, accept: "text/event-stream", lastEventID: number)
        try await talking {
            let response = try await http.execute(request, deadline: .distantFuture)
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
