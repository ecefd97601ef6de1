package import Instrumentation
internal import ServiceContextModule
internal import Synchronization
internal import TauCore
package import Tracing

/// Which traces are recorded (`OTEL_TRACES_SAMPLER`).
package struct TraceSampler: Sendable {
    /// The part of new traces that is recorded, from 0 to 1.
    package var ratio = 1.0
    /// Whether a caller's decision counts.
    package var followsParent = true

    package init(ratio: Double = 1, followsParent: Bool = true) {
        self.ratio = ratio
        self.followsParent = followsParent
    }

    /// As everywhere that samples by the same part, so that a trace is recorded whole or not at all.
    func isSampled(traceLow: UInt64, parent: TraceIdentity?) -> Bool {
        if followsParent, let parent { return parent.isSampled }
        if ratio >= 1 { return true }
        return Double(traceLow >> 11) < ratio * 0x1p53
    }
}

/// Numbers that name traces and spans: none comes twice from one process, and another process begins elsewhere. They can be guessed, which
/// gives nobody anything. SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014), which needs no lock.
private final class SpanNumbers: Sendable {
    private static let step: UInt64 = 0x9e37_79b9_7f4a_7c15
    private let state = Atomic(UInt64.random(in: 0...UInt64.max))

    func next() -> UInt64 {
        var number = state.wrappingAdd(Self.step, ordering: .relaxed).newValue
        number = (number ^ (number >> 30)) &* 0xbf58_476d_1ce4_e5b9
        number = (number ^ (number >> 27)) &* 0x94d0_49bb_1331_11eb
        return number ^ (number >> 31)
    }
}

/// Makes spans, and hands those that are recorded to a queue.
package struct ServerTracer: Tracer {
    private let queue: SpanQueue
    private let sampler: TraceSampler
    private let numbers = SpanNumbers()

    package init(queue: SpanQueue, sampler: TraceSampler) {
        self.queue = queue
        self.sampler = sampler
    }

    package func startSpan<Instant: TracerInstant>(
        _ operationName: String, context: @autoclosure () -> ServiceContext, ofKind kind: SpanKind,
        at instant: @autoclosure () -> Instant, function: String, file fileID: String, line: UInt
    ) -> RecordedSpan {
        var context = context()
        let parent = context.trace
        let low = parent?.low ?? numbers.next()
        let identity = TraceIdentity(
            high: parent?.high ?? numbers.next(), low: low, spanID: max(1, numbers.next()),
            isSampled: sampler.isSampled(traceLow: low, parent: parent), state: parent?.state)
        context.trace = identity
        let start = identity.isSampled ? instant().nanosecondsSinceEpoch : 0
        return RecordedSpan(
            operationName, kind, identity, parentID: parent?.spanID, context, start: start, queue: queue)
    }

    /// Spans wait for their receiver, which has a service of its own.
    package func forceFlush() {}

    // MARK: From one process to the next

    package func extract<Carrier, Extract: Extractor>(
        _ carrier: Carrier, into context: inout ServiceContext, using extractor: Extract
    ) where Extract.Carrier == Carrier {
        guard let text = extractor.extract(key: "traceparent", from: carrier),
            var identity = TraceIdentity(traceparent: text)
        else { return }
        // What is longer need not be passed on.
        identity.state = extractor.extract(key: "tracestate", from: carrier).flatMap { $0.utf8.count <= 512 ? $0 : nil }
        context.trace = identity
    }

    package func inject<Carrier, Inject: Injector>(
        _ context: ServiceContext, into carrier: inout Carrier, using injector: Inject
    ) where Inject.Carrier == Carrier {
        guard let identity = context.trace else { return }
        injector.inject(identity.traceparent, forKey: "traceparent", into: &carrier)
        if let state = identity.state { injector.inject(state, forKey: "tracestate", into: &carrier) }
    }
}
