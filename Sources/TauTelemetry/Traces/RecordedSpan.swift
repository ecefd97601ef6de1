package import ServiceContextModule
internal import Synchronization
package import TauCore
package import Tracing

/// A span at work. One that is not sampled keeps nothing.
package final class RecordedSpan: AttributeKeeping {
    package let context: ServiceContext
    package let isRecording: Bool
    private let state: Mutex<SpanRecord>
    private let queue: SpanQueue
    private let isEnded = Atomic(false)

    /// Events and links of one span; further ones are counted only.
    private static let maxEvents = 128

    init(
        _ name: String, _ kind: SpanKind, _ identity: TraceIdentity, parentID: UInt64?, _ context: ServiceContext,
        start: UInt64, queue: SpanQueue
    ) {
        self.context = context
        self.queue = queue
        isRecording = identity.isSampled
        state = Mutex(SpanRecord(identity: identity, parentID: parentID, name: name, kind: kind, start: start))
    }

    private func change(_ body: (inout SpanRecord) -> Void) {
        if isRecording { state.withLock { body(&$0) } }
    }

    package var operationName: String {
        get { state.withLock { $0.name } }
        set { change { $0.name = newValue } }
    }

    package var attributes: SpanAttributes {
        get { state.withLock { $0.allAttributes } }
        set {
            change { span in
                span.kept = []
                span.attributes = newValue
            }
        }
    }

    package func keep(_ attributes: [TraceAttribute]) {
        change { span in
            if span.kept.isEmpty { span.kept = attributes } else { span.kept += attributes }
        }
    }

    package func setStatus(_ status: SpanStatus) { change { $0.status = status } }

    package func addEvent(_ event: SpanEvent) {
        change { span in
            if span.events.count < Self.maxEvents { span.events.append(event) } else { span.droppedEvents += 1 }
        }
    }

    package func recordError<Instant: TracerInstant>(
        _ error: any Error, attributes: SpanAttributes, at instant: @autoclosure () -> Instant
    ) {
        guard isRecording else { return }
        var attributes = attributes
        attributes["exception.type"] = "\(type(of: error))"
        attributes["exception.message"] = "\(error)"
        addEvent(SpanEvent(name: "exception", at: instant(), attributes: attributes))
        change { span in if span.status == nil { span.status = SpanStatus(code: .error) } }
    }

    package func addLink(_ link: SpanLink) {
        guard let identity = link.context.trace else { return }
        change { span in if span.links.count < Self.maxEvents { span.links.append(identity) } }
    }

    package func end<Instant: TracerInstant>(at instant: @autoclosure () -> Instant) {
        guard isRecording, isEnded.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged else {
            return
        }
        let end = instant().nanosecondsSinceEpoch
        change { $0.end = end }
        queue.add(self)
    }

    /// Reads what is told of it.
    func read(_ body: (borrowing SpanRecord) -> Void) { state.withLock { body($0) } }
}

/// What is told of a span.
struct SpanRecord: Sendable {
    var identity: TraceIdentity
    var parentID: UInt64?
    var name: String
    var kind: SpanKind
    /// Nanoseconds since 1970.
    var start: UInt64
    var end: UInt64 = 0
    var kept: [TraceAttribute] = []
    /// Those beside them.
    var attributes: SpanAttributes = [:]
    var events: [SpanEvent] = []
    var droppedEvents = 0
    var links: [TraceIdentity] = []
    var status: SpanStatus?

    fileprivate var allAttributes: SpanAttributes {
        var all = attributes
        all.add(kept)
        return all
    }
}
