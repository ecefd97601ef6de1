internal import Synchronization
internal import TauCore

/// The events of one run, numbered from 1, each encoded once, for any number of readers at any time.
///
/// Bounded in bytes: first the deltas of messages that have ended go (their `message_end` says it all), then the oldest events.
public final class EventJournal: Sendable {
    /// One event as readers get it.
    public struct Record: Sendable {
        public let number: Int
        public let type: String
        /// One JSON object on one line.
        public let data: [UInt8]
        /// Whether a later event says the same again.
        fileprivate let isDelta: Bool
    }

    private struct State {
        var records: [Record] = []
        var bytes = 0
        var lastNumber = 0
        /// Deltas before this number say nothing that an ended message does not say.
        var lastMessageEnd = 0
        var isClosed = false
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter = 0
    }

    private let maxBytes: Int
    private let state = Mutex(State())

    init(maxBytes: Int) { self.maxBytes = maxBytes }

    func publish(_ event: RunEvent) {
        let data = event.serialized
        wake { state in
            state.lastNumber += 1
            var isDelta = false
            switch event {
            case .messageUpdate: isDelta = true
            case .messageEnd: state.lastMessageEnd = state.lastNumber
            default: break
            }
            state.records.append(
                Record(number: state.lastNumber, type: event.type, data: data, isDelta: isDelta))
            state.bytes += data.count
            if state.bytes > maxBytes { shrink(&state) }
        }
    }

    /// Makes room down to half of the bound, so that this is rare.
    private func shrink(_ state: inout State) {
        state.records.removeAll { $0.isDelta && $0.number < state.lastMessageEnd }
        state.bytes = state.records.reduce(0) { $0 + $1.data.count }
        guard state.bytes > maxBytes else { return }
        var dropped = 0
        while state.bytes > maxBytes / 2, dropped < state.records.count - 1 {
            state.bytes -= state.records[dropped].data.count
            dropped += 1
        }
        state.records.removeFirst(dropped)
    }

    /// No further event will come.
    func close() {
        wake { $0.isClosed = true }
    }

    private func wake(_ change: (inout State) -> Void) {
        let waiters = state.withLock { state in
            change(&state)
            defer { state.waiters = [:] }
            return state.waiters
        }
        for continuation in waiters.values { continuation.resume() }
    }

    /// The events after a number that are there; waits for one if there is none. Nil: the run has ended and all was read.
    ///
    /// Throws `CancellationError` when the reader's task is cancelled.
    public func events(after number: Int) async throws -> [Record]? {
        while true {
            try Task.checkCancellation()
            if let records = available(after: number) { return records.isEmpty ? nil : records }
            await waitForChange(after: number)
        }
    }

    /// The events after a number, without waiting: nil if there is none yet, none if the run has ended and all was read.
    public func available(after number: Int) -> [Record]? {
        state.withLock { state in
            let records = Self.records(after: number, state.records)
            return records.isEmpty && !state.isClosed ? nil : records
        }
    }

    private static func records(after number: Int, _ records: [Record]) -> [Record] {
        guard let last = records.last, last.number > number else { return [] }
        // Numbers grow, so the place can be found by halving.
        var low = 0
        var high = records.count
        while low < high {
            let middle = (low + high) / 2
            if records[middle].number <= number { low = middle + 1 } else { high = middle }
        }
        return Array(records[low...])
    }

    private func waitForChange(after number: Int) async {
        let ticket = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isLate = state.withLock { state in
                    if Task.isCancelled || state.isClosed || state.lastNumber > number { return true }
                    state.waiters[ticket] = continuation
                    return false
                }
                if isLate { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: ticket) }?.resume()
        }
    }
}
