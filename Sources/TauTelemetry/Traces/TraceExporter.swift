internal import AsyncHTTPClient
package import Logging
internal import NIOCore
internal import NIOHTTP1
internal import TauCore
internal import TauSystem

/// Where spans are sent to, and how.
package struct TraceExporterSettings: Sendable {
    package enum Encoding: String, Sendable, CaseIterable {
        case protobuf = "http/protobuf"
        case json = "http/json"

        var contentType: String { self == .json ? "application/json" : "application/x-protobuf" }
    }

    /// The whole address, with `/v1/traces`.
    package var url: String
    package var encoding = Encoding.protobuf
    /// What the receiver wants beside, such as a key.
    package var headers: [(String, String)] = []
    package var isCompressed = false
    package var timeoutMilliseconds = 10_000
    /// Milliseconds between two batches that are not full.
    package var delayMilliseconds = 5000
    /// What is told of the service.
    package var resource: [(String, String)] = []
    /// Milliseconds that the last batches may take at the end.
    package var farewellMilliseconds = 3000

    package init(url: String) { self.url = url }
}

/// Sends the spans of a queue to a receiver of OTLP over HTTP. A receiver that is away costs spans, and nothing else.
package final class TraceExporter: Sendable {
    private let queue: SpanQueue
    private let settings: TraceExporterSettings
    private let logger: Logger
    private let http: HTTPClient

    /// Tries of one batch; the waits between them double, beginning with a second.
    private static let tries = 5
    private static let maxAnswerBytes = 64 << 10

    package init(queue: SpanQueue, settings: TraceExporterSettings, logger: Logger) {
        self.queue = queue
        self.settings = settings
        self.logger = logger
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .milliseconds(Int64(settings.timeoutMilliseconds))
        configuration.redirectConfiguration = .disallow
        // Sending spans makes none.
        configuration.tracing.tracer = nil
        http = HTTPClient(configuration: configuration)
    }

    /// Sends what comes until the queue is closed, and then what is left, within a time.
    package func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in self.queue.signals { await self.sendAll(tries: Self.tries) }
                await self.sendAll(tries: 1)
            }
            group.addTask { [settings, queue] in
                for await _ in queue.end {}
                try? await Task.sleep(for: .milliseconds(settings.farewellMilliseconds))
            }
            group.addTask { [settings, queue] in
                // The queue's signal tells of full batches only.
                while !Task.isCancelled {
                    try? await Task.sleep(for: .milliseconds(settings.delayMilliseconds))
                    queue.wake()
                }
            }
            // All is sent, or there is no more time for it.
            await group.next()
            group.cancelAll()
        }
        // Nothing is sent any more; a client that cannot be closed ends with the process.
        try? await http.shutdown()
    }

    private func sendAll(tries: Int) async {
        while !Task.isCancelled {
            let batch = queue.take()
            guard !batch.isEmpty else { return }
            await send(batch, tries: tries)
        }
    }

    private func send(_ spans: [RecordedSpan], tries: Int) async {
        let message = TraceMessage(resource: settings.resource, spans: spans)
        var body = settings.encoding == .json ? message.json : message.protobuf
        if settings.isCompressed { body = Gzip.compressed(body) }
        var reason = ""
        for attempt in 1...tries {
            let outcome = await post(body)
            guard case .failed(let why, let isWorthAnother, let wait) = outcome else { return }
            reason = why
            guard isWorthAnother, attempt < tries, !Task.isCancelled else { break }
            try? await Task.sleep(for: .milliseconds(wait ?? 1000 << (attempt - 1)))
        }
        Measurements.droppedRecords.add(spans.count, "span")
        logger.warning(
            "spans were not sent", metadata: ["count": "\(spans.count)", "reason": "\(reason)"])
    }

    private enum Outcome {
        case sent
        /// Whether another try may help, and the milliseconds to wait for it that the receiver asked for.
        case failed(String, Bool, Int?)
    }

    private func post(_ body: [UInt8]) async -> Outcome {
        var request = HTTPClientRequest(url: settings.url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: settings.encoding.contentType)
        if settings.isCompressed { request.headers.add(name: "Content-Encoding", value: "gzip") }
        for (name, value) in settings.headers { request.headers.replaceOrAdd(name: name, value: value) }
        request.body = .bytes(ByteBuffer(bytes: body))
        do {
            let answer = try await http.execute(
                request, timeout: .milliseconds(Int64(settings.timeoutMilliseconds)))
            // So that the connection can be used again.
            _ = try await answer.body.collect(upTo: Self.maxAnswerBytes)
            if (200..<300).contains(answer.status.code) { return .sent }
            let seconds = answer.headers.first(name: "Retry-After").flatMap { Int($0) }
            return .failed(
                "the receiver answered \(answer.status.code)", [429, 502, 503, 504].contains(answer.status.code),
                seconds.map { min(max($0, 0), 60) * 1000 })
        } catch {
            return .failed("the receiver does not answer: \(error)", true, nil)
        }
    }
}
