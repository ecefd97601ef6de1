internal import AsyncHTTPClient
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import TauCore
internal import TauWire

/// A server that answers one request with a stream of events.
struct ModelServer: Sendable {
    /// What one answer may cost this side.
    struct Limits: Sendable {
        var maxAnswerBytes = 64 << 20
        var maxEventBytes = 8 << 20
        /// How long the end of a complete answer is waited for, so that the connection can be used again.
        var drainTime = Duration.milliseconds(500)
    }

    private static let maxErrorBytes = 65_536

    let client: HTTPClient
    let endpoint: Endpoint
    /// Left out of every message, should the server repeat it.
    let key: String?
    /// Sent with every request, and left out of messages like the key.
    var headers = HTTPHeaders()
    let limits: Limits
    let clock: any Clock<Duration>
    let logger: Logger

    /// Sends one request and reports the answer. Cancelling the task closes the connection.
    func answer(
        path: String, headers: HTTPHeaders, body: JSONValue, decoder: some AnswerDecoder,
        to sink: (ModelEvent) -> Void
    ) async throws(ProviderError) -> ModelReply {
        do {
            var request = HTTPClientRequest(url: endpoint.url(path))
            request.method = .POST
            request.headers = headers
            request.headers.replaceOrAdd(name: "content-type", value: "application/json")
            request.headers.replaceOrAdd(name: "accept", value: "text/event-stream")
            request.headers.replaceOrAdd(name: "user-agent", value: "tau")
            request.body = .bytes(ByteBuffer(bytes: body.serialized))
            let response = try await client.execute(request, deadline: .distantFuture)
            guard response.status == .ok, response.isEventStream else { throw try await failure(response) }
            return try await read(response.body, decoder, to: sink)
        } catch {
            let failure = readable(error)
            logger.debug(
                "a model call failed", metadata: ["host": "\(endpoint.host)", "reason": "\(failure.message)"])
            throw failure
        }
    }

    private func read(
        _ body: HTTPClientResponse.Body, _ decoder: some AnswerDecoder, to sink: (ModelEvent) -> Void
    ) async throws -> ModelReply {
        var reader = AnswerReader(decoder, maxEventBytes: limits.maxEventBytes)
        var byteCount = 0
        var iterator = body.makeAsyncIterator()
        while !reader.decoder.isComplete {
            let next: ByteBuffer?
            do {
                next = try await iterator.next()
            } catch {
                // To throw a whole answer away would only mean to pay for it twice.
                guard reader.decoder.canFinish, !Task.isCancelled else { throw error }
                next = nil
            }
            guard let chunk = next else { break }
            byteCount += chunk.readableBytes
            guard byteCount <= limits.maxAnswerBytes else {
                throw ProviderError(.malformed, "The answer is longer than \(limits.maxAnswerBytes) bytes.")
            }
            try chunk.withUnsafeReadableBytes { bytes in
                try reader.push(bytes.assumingMemoryBound(to: UInt8.self), to: sink)
            }
            // Nothing is reported any more once the caller has given up.
            try Task.checkCancellation()
        }
        let reply = try reader.finish(to: sink)
        await drain(iterator)
        return reply
    }

    /// Reads what may follow the last event, as a connection with unread bytes would have to be closed.
    private func drain(_ iterator: sending HTTPClientResponse.Body.AsyncIterator) async {
        // Safe: it was given away to this function, and only the first child below uses it.
        nonisolated(unsafe) let rest = iterator
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                var rest = rest
                while (try? await rest.next()) != nil {}
            }
            group.addTask { try? await clock.sleep(for: limits.drainTime) }
            await group.next()
            group.cancelAll()
        }
    }

    // MARK: Failures

    private func failure(_ response: HTTPClientResponse) async throws -> ProviderError {
        var body: [UInt8] = []
        for try await chunk in response.body {
            body.append(contentsOf: chunk.readableBytesView)
            if body.count > Self.maxErrorBytes { break }
        }
        guard response.status == .ok else {
            return ErrorAnswer.error(
                status: Int(response.status.code), reason: response.status.reasonPhrase,
                retryAfter: response.retryAfter, body: body)
        }
        if let json = try? JSONValue(parsing: body), let error = ErrorAnswer.error(inStream: json) { return error }
        let type = response.headers.first(name: "content-type") ?? ""
        return ProviderError(
            .malformed, "\(endpoint.host) answered \(type.bounded(to: 100)) in place of an event stream.")
    }

    /// A failure of any layer in words that hold no key and no header.
    private func readable(_ error: any Error) -> ProviderError {
        if Task.isCancelled || error is CancellationError {
            return ProviderError(.cancelled, "The model call was cancelled.")
        }
        guard var failure = error as? ProviderError else { return transportFailure(error) }
        if let key, !key.isEmpty { failure.message = failure.message.replacing(key, with: "[key]") }
        // Headers of one's own may hold keys as well; a short one is a word that may be meant.
        for header in headers where header.value.utf8.count >= 8 {
            failure.message = failure.message.replacing(header.value, with: "[key]")
        }
        return failure
    }

    private func transportFailure(_ error: any Error) -> ProviderError {
        switch error as? HTTPClientError {
        case .readTimeout: ProviderError(.timedOut, "\(endpoint.host) fell silent in the middle of a model call.")
        case .connectTimeout, .deadlineExceeded, .getConnectionFromPoolTimeout, .tlsHandshakeTimeout:
            ProviderError(.timedOut, "\(endpoint.host) did not accept a connection in time.")
        case .cancelled: ProviderError(.cancelled, "The model call was cancelled.")
        case .some(let error):
            ProviderError(.network, "The connection to \(endpoint.host) failed: \(error.shortDescription)")
        // The description could name what was sent; the type says enough.
        case nil: ProviderError(.network, "The connection to \(endpoint.host) failed: \(type(of: error))")
        }
    }
}

extension HTTPClientResponse {
    /// A server that does not name the type is given the benefit of the doubt.
    fileprivate var isEventStream: Bool {
        guard let type = headers.first(name: "content-type") else { return true }
        return type.lowercased().hasPrefix("text/event-stream")
    }

    /// Seconds that the server asks to wait. The form with a date is not in use for this.
    fileprivate var retryAfter: Double? {
        func number(_ name: String) -> Double? { headers.first(name: name).flatMap(Double.init) }
        let seconds = number("retry-after-ms").map { $0 / 1000 } ?? number("retry-after")
        return seconds.flatMap { $0.isFinite && $0 >= 0 ? $0 : nil }
    }
}
