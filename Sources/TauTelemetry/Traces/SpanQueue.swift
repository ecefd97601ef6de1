internal import Synchronization
internal import TauCore

/// Spans that wait to be sent. What finds no room is dropped and counted; nobody waits.
package final class SpanQueue: Sendable {
    private struct State {
        var spans: [RecordedSpan] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let maxSpans: Int
    private let batchSize: Int
    /// Told when a batch is full, and at the end.
    let signals: AsyncStream<Void>
    private let signal: AsyncStream<Void>.Continuation
    /// Ends with the queue.
    let end: AsyncStream<Never>
    private let ending: AsyncStream<Never>.Continuation

    /// `maxSpans` wait at the most (`OTEL_BSP_MAX_QUEUE_SIZE`); a batch has up to `batchSize` (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`).
    package init(maxSpans: Int = 2048, batchSize: Int = 512) {
        self.maxSpans = maxSpans
        self.batchSize = min(batchSize, maxSpans)
        (signals, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        (end, ending) = AsyncStream.makeStream()
    }

    func add(_ span: RecordedSpan) {
        let count = state.withLock { state -> Int? in
            guard state.spans.count < maxSpans, !state.isClosed else { return nil }
            state.spans.append(span)
            return state.spans.count
        }
        guard let count else { return Measurements.droppedRecords.add(1, "span") }
        if count == batchSize { signal.yield() }
    }

    /// The next batch, oldest first.
    func take() -> [RecordedSpan] {
        state.withLock { state in
            let batch = Array(state.spans.prefix(batchSize))
            state.spans.removeFirst(batch.count)
            return batch
        }
    }

    /// Ends the waiting for signals. What is there can still be taken.
    package func close() {
        state.withLock { $0.isClosed = true }
        signal.finish()
        ending.finish()
    }

    func wake() { signal.yield() }
}
