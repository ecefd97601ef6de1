internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import TauCore
internal import TauRuntime
internal import TauWire

/// A run's events as server-sent events: what is there from a number on, then what comes, until the run has ended.
struct RunEventStream {
    let run: ActiveRun
    /// The number of the last event that the client has.
    let lastNumber: Int
    /// How long a silence may last before a comment is sent.
    let heartbeat: Duration

    /// The answer. The client may go away at any time; the run does not notice.
    func response(to request: Request) -> Response {
        Response(
            status: .ok,
            headers: [
                .contentType: "text/event-stream", .cacheControl: "no-cache",
                // nginx would hold the whole stream back otherwise.
                .accelBuffering: "no",
                // Noticing that the client went away uses the connection up.
                .connection: "close",
            ],
            body: ResponseBody { writer in
                // Safe: only the one task that consumes the request below uses the copy, and it ends before this closure does.
                nonisolated(unsafe) var writer = writer
                try await request.body.consumeWithCancellationOnInboundClose { _ in
                    try await send(to: &writer)
                }
                try await writer.finish(nil)
            })
    }

    private func send(to writer: inout any ResponseBodyWriter) async throws {
        var number = lastNumber
        while true {
            guard let records = try await nextRecords(after: number, &writer) else { return }
            var buffer = ByteBuffer()
            for record in records {
                buffer.writeBytes(
                    EventStreamWriter.event(id: String(record.number), type: record.type, data: record.data))
                number = record.number
            }
            try await writer.write(buffer)
        }
    }

    private func nextRecords(
        after number: Int, _ writer: inout any ResponseBodyWriter
    ) async throws -> [EventJournal.Record]? {
        while true {
            if let records = run.journal.available(after: number) { return records.isEmpty ? nil : records }
            let result = try await withThrowingTaskGroup(of: Wakeup.self) { group in
                group.addTask { .records(try await run.journal.events(after: number)) }
                group.addTask {
                    try await Task.sleep(for: heartbeat)
                    return .silence
                }
                defer { group.cancelAll() }
                return try await group.next() ?? .silence
            }
            switch result {
            case .records(let records): return records
            case .silence: try await writer.write(ByteBuffer(bytes: EventStreamWriter.comment("ping")))
            }
        }
    }

    private enum Wakeup: Sendable {
        case records([EventJournal.Record]?)
        case silence
    }
}
