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
    /// The client was not there when the run began.
    var isLate = false
    /// Whether the client may still read; asked as often as the heart beats.
    var isAllowed: @Sendable () async -> Bool
    /// Held for as long as the answer lasts.
    let place: StreamPlaces.Place

    /// The answer. The client may go away at any time; the run does not notice.
    func response(on channel: any Channel) -> Response {
        Response(
            status: .ok,
            headers: [
                .contentType: "text/event-stream", .cacheControl: "no-cache",
                // nginx would hold the whole stream back otherwise.
                .accelBuffering: "no",
            ],
            body: ResponseBody { writer in
                defer { withExtendedLifetime(place) {} }
                // Safe: only the one task below uses the copy, and it ends before this closure does.
                nonisolated(unsafe) let copy = writer
                try await ClientPresence.require(on: channel) {
                    var writer = copy
                    try await send(to: &writer)
                }
                try await writer.finish(nil)
            })
    }

    private func send(to writer: inout any ResponseBodyWriter) async throws {
        var number = lastNumber
        var isLate = isLate
        let clock = ContinuousClock()
        var nextCheck = clock.now + heartbeat
        while true {
            if clock.now >= nextCheck {
                guard await isAllowed() else {
                    return try await writer.write(ByteBuffer(bytes: Self.refusal(after: number)))
                }
                nextCheck = clock.now + heartbeat
            }
            switch try await run.journal.next(after: number, patience: heartbeat, isLate: isLate) {
            case .end: return
            case .silence: try await writer.write(ByteBuffer(bytes: EventStreamWriter.comment("ping")))
            case .records(let records):
                var bytes: [UInt8] = []
                bytes.reserveCapacity(records.reduce(0) { $0 + $1.data.count + 64 })
                for record in records {
                    EventStreamWriter.append(
                        id: String(record.number), type: record.type, data: record.data, to: &bytes)
                    number = record.number
                }
                try await writer.write(ByteBuffer(bytes: bytes))
                isLate = false
            }
        }
    }

    /// The last word to a client whose key is not valid any more. The run goes on.
    private static func refusal(after number: Int) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("type", "error")
            writer.member("code", Problem.Code.unauthenticated.rawValue)
            writer.member("message", "The key is not valid any more.")
        }
        return EventStreamWriter.event(id: String(number), type: "error", data: writer.bytes)
    }

    /// The events of a run after one of them. Where they are forgotten, or are another server's: its state, and the end.
    static func response(
        to context: EdgeContext, run id: RunID, of runtime: AgentRuntime, after number: Int = 0,
        heartbeat: Duration, isLate: Bool = false
    ) async throws -> Response {
        let known = Result { () throws(RuntimeError) in try runtime.run(id) }
        guard case .success(let run) = known else {
            // How it ended is not forgotten.
            return ending(try await runtime.snapshot(of: id), number: number + 1)
        }
        return RunEventStream(
            run: run, lastNumber: number, heartbeat: heartbeat, isLate: isLate, isAllowed: context.isStillAllowed,
            place: try context.streams.take(for: try context.requirePrincipal().owner)
        ).response(on: context.channel)
    }

    private static func ending(_ run: Run, number: Int) -> Response {
        let event = RunEvent.runState(run)
        let bytes = EventStreamWriter.event(id: String(number), type: event.type, data: event.serialized)
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-cache"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
