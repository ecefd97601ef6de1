internal import Synchronization
internal import TauCore

/// The events of one run, numbered from 1, each encoded once, for any number of readers at any time.
///
/// Small pieces of an answer that follow each other closely become one event: its frame would be many times its text.
/// Bounded in bytes: first the deltas of messages that have ended go (their `message_end` says it all), then those of the
/// current one are joined, then the oldest events go.
public final class EventJournal: Sendable {
    /// One event as readers get it.
    public struct Record: Sendable {
        public let number: Int
        public let type: String
        /// One JSON object on one line.
        public let data: [UInt8]
        /// Whether a later event says the same again.
        fileprivate let isUpdate: Bool
        /// What a delta adds; it can be joined with its neighbour.
        fileprivate let delta: ModelEvent?
    }

    /// What a reader that waits gets.
    public enum Next: Sendable {
        case records([Record])
        /// Nothing has happened for as long as the reader wanted to wait.
        case silence
        /// The run has ended and everything was read.
        case end
    }

    private struct State {
        var records: [Record] = []
        var bytes = 0
        var lastNumber: Int
        /// Deltas before this number say nothing that an ended message does not say.
        var lastMessageEnd = 0
        /// A piece of an answer that is no event yet; it grows until it is told.
        var pending: ModelEvent?
        /// Tells pending pieces apart.
        var pendingNumber = 0
        /// Bytes of the current message's deltas so far.
        var messageBytes = 0
        var isClosed = false
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter = 0
    }

    private let maxBytes: Int
    private let maxDeltaBytes: Int
    private let maxHold: Duration
    private let state: Mutex<State>
    /// Deltas of the current message that a reader who comes late gets one by one; more are joined.
    private static let maxReplayedDeltas = 32

    /// A piece of an answer is told when it has `maxDeltaBytes`, when something else happens, or when a reader has waited
    /// for it: `maxHold` at first, and longer the more was told, as people fall behind. `lastNumber` is the last event of a run that goes on after a restart.
    init(maxBytes: Int, maxDeltaBytes: Int = 0, maxHold: Duration = .zero, lastNumber: Int = 0) {
        self.maxBytes = maxBytes
        self.maxDeltaBytes = maxDeltaBytes
        self.maxHold = maxHold
        state = Mutex(State(lastNumber: lastNumber))
    }

    // MARK: Writing

    func publish(_ event: RunEvent) {
        if case .messageUpdate(let update, _) = event, update.isDelta, maxDeltaBytes > 0 { return publish(update) }
        let data = event.serialized
        wake { state in
            flush(&state)
            append(event, data, &state)
        }
    }

    private func publish(_ delta: ModelEvent) {
        wake { state in
            var grown = delta
            if let pending = state.pending {
                if let joined = pending.joined(with: delta) {
                    grown = joined
                } else {
                    flush(&state)
                }
            }
            if state.pending == nil { state.pendingNumber += 1 }
            state.pending = grown
            state.messageBytes += delta.deltaByteCount
            // The first words of an answer are told at once.
            let isFirst = state.records.last?.delta == nil
            if grown.deltaByteCount >= maxDeltaBytes || isFirst { flush(&state) }
        }
    }

    /// Makes the pending piece an event.
    private func flush(_ state: inout State) {
        guard let pending = state.pending else { return }
        state.pending = nil
        let event = RunEvent.messageUpdate(pending, toolCall: nil)
        append(event, event.serialized, &state)
    }

    private func append(_ event: RunEvent, _ data: [UInt8], _ state: inout State) {
        state.lastNumber += 1
        var isUpdate = false
        var delta: ModelEvent?
        switch event {
        case .messageUpdate(let update, _):
            isUpdate = true
            delta = update.isDelta ? update : nil
        case .messageEnd:
            state.lastMessageEnd = state.lastNumber
            state.messageBytes = 0
        default: break
        }
        let record = Record(
            number: state.lastNumber, type: event.type, data: data, isUpdate: isUpdate, delta: delta)
        state.records.append(record)
        state.bytes += record.byteCount
        if state.bytes > maxBytes { shrink(&state) }
    }

    /// Makes room down to half of the bound, so that this is rare.
    private func shrink(_ state: inout State) {
        state.records.removeAll { $0.isUpdate && $0.number < state.lastMessageEnd }
        // Not into one event that could not be dropped any more.
        state.records = Self.joined(state.records[...], maxBytes: maxBytes / 8)
        state.bytes = state.records.reduce(0) { $0 + $1.byteCount }
        guard state.bytes > maxBytes else { return }
        var dropped = 0
        while state.bytes > maxBytes / 2, dropped < state.records.count - 1 {
            state.bytes -= state.records[dropped].byteCount
            dropped += 1
        }
        state.records.removeFirst(dropped)
    }

    /// Neighbouring deltas of one block as one event, which has the number of the last one.
    private static func joined(_ records: ArraySlice<Record>, maxBytes: Int = .max) -> [Record] {
        var result: [Record] = []
        var texts: [ModelEvent] = []
        var byteCount = 0
        func close() {
            guard let last = result.last, let first = texts.first, texts.count > 1 else { return }
            let whole = texts.dropFirst().reduce(first) { $0.joined(with: $1) ?? $0 }
            let event = RunEvent.messageUpdate(whole, toolCall: nil)
            result[result.count - 1] = Record(
                number: last.number, type: last.type, data: event.serialized, isUpdate: true, delta: whole)
        }
        for record in records {
            byteCount += record.byteCount
            if let delta = record.delta, let open = texts.last, open.continues(delta), byteCount <= maxBytes {
                texts.append(delta)
                result[result.count - 1] = record
            } else {
                close()
                byteCount = record.byteCount
                texts = record.delta.map { [$0] } ?? []
                result.append(record)
            }
        }
        close()
        return result
    }

    /// No further event will come.
    func close() {
        wake { state in
            flush(&state)
            state.isClosed = true
        }
    }

    /// The number of the last event.
    var lastNumber: Int { state.withLock { $0.lastNumber } }

    private func wake(_ change: (inout State) -> Void) {
        let waiters = state.withLock { state -> [Int: CheckedContinuation<Void, Never>] in
            let (number, pending) = (state.lastNumber, state.pendingNumber)
            change(&state)
            // More of a piece that readers already wait for is no news.
            guard state.lastNumber != number || state.pendingNumber != pending || state.isClosed else { return [:] }
            defer { state.waiters = [:] }
            return state.waiters
        }
        for continuation in waiters.values { continuation.resume() }
    }

    // MARK: Reading

    /// The events after a number; waits for one if there is none, but not longer than `patience`.
    ///
    /// With `isLate` the reader has just come: of a long message that is not over it gets what was said so far in one event a
    /// block, which has the number of the last piece.
    ///
    /// Throws `CancellationError` when the reader's task is cancelled.
    public func next(after number: Int, patience: Duration, isLate: Bool = false) async throws -> Next {
        let deadline = ContinuousClock.now + patience
        while true {
            try Task.checkCancellation()
            if let records = available(after: number, isLate: isLate) {
                return records.isEmpty ? .end : .records(records)
            }
            let (held, messageBytes) = state.withLock { state -> (Int?, Int) in
                (state.pending == nil ? nil : state.pendingNumber, state.messageBytes)
            }
            let left = deadline - ContinuousClock.now
            guard left > .zero || held != nil else { return .silence }
            let hasChanged = try await waitForChange(
                after: number, held: held, atMost: held == nil ? left : hold(after: messageBytes))
            if let held, !hasChanged { wake { if $0.pendingNumber == held { flush(&$0) } } }
        }
    }

    private func hold(after messageBytes: Int) -> Duration {
        switch messageBytes {
        case ..<256: maxHold
        case ..<1024: maxHold * 3
        default: maxHold * 8
        }
    }

    /// The events after a number that are there; waits for one if there is none. Nil: the run has ended and all was read.
    ///
    /// Throws `CancellationError` when the reader's task is cancelled.
    public func events(after number: Int) async throws -> [Record]? {
        while true {
            switch try await next(after: number, patience: .seconds(3600)) {
            case .records(let records): return records
            case .end: return nil
            case .silence: continue
            }
        }
    }

    /// The events after a number, without waiting: nil if there is none yet, none if the run has ended and all was read.
    func available(after number: Int, isLate: Bool = false) -> [Record]? {
        state.withLock { state in
            let start = Self.firstIndex(after: number, state.records)
            let records = state.records[start...]
            if records.isEmpty { return state.isClosed ? [] : nil }
            guard isLate, records.count > Self.maxReplayedDeltas else { return Array(records) }
            let deltas = records.count { $0.delta != nil && $0.number > state.lastMessageEnd }
            guard deltas > Self.maxReplayedDeltas else { return Array(records) }
            let current = records.firstIndex { $0.number > state.lastMessageEnd } ?? records.endIndex
            return records[..<current] + Self.joined(records[current...])
        }
    }

    /// Numbers grow, so the place can be found by halving.
    private static func firstIndex(after number: Int, _ records: [Record]) -> Int {
        var low = 0
        var high = records.count
        while low < high {
            let middle = (low + high) / 2
            if records[middle].number <= number { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// True when something has changed, false when the time is over.
    private func waitForChange(after number: Int, held: Int?, atMost time: Duration) async throws -> Bool {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                await self.waitForChange(after: number, held: held)
                return true
            }
            group.addTask {
                try await Task.sleep(for: time)
                return false
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }

    private func waitForChange(after number: Int, held: Int?) async {
        let ticket = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isLate = state.withLock { state in
                    let isNews = state.pending != nil && state.pendingNumber != held
                    if Task.isCancelled || state.isClosed || state.lastNumber > number || isNews { return true }
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

extension EventJournal.Record {
    /// What it takes in memory: a delta keeps its text beside its data.
    fileprivate var byteCount: Int { data.count + (delta?.deltaByteCount ?? 0) }
}

extension ModelEvent {
    fileprivate var deltaByteCount: Int {
        switch self {
        case .textDelta(_, let text), .thinkingDelta(_, let text), .toolCallDelta(_, let text): text.utf8.count
        case .textStart, .textEnd, .thinkingStart, .thinkingEnd, .toolCallStart, .toolCallEnd, .usage: 0
        }
    }

    /// Whether `next` adds to the same block.
    fileprivate func continues(_ next: ModelEvent) -> Bool {
        switch (self, next) {
        case (.textDelta(let index, _), .textDelta(let other, _)),
            (.thinkingDelta(let index, _), .thinkingDelta(let other, _)),
            (.toolCallDelta(let index, _), .toolCallDelta(let other, _)):
            index == other
        default: false
        }
    }

    /// Both as one delta; nil where they are not of one block.
    fileprivate func joined(with next: ModelEvent) -> ModelEvent? {
        guard continues(next) else { return nil }
        return switch (self, next) {
        case (.textDelta(let index, let text), .textDelta(_, let more)): .textDelta(index: index, text + more)
        case (.thinkingDelta(let index, let text), .thinkingDelta(_, let more)):
            .thinkingDelta(index: index, text + more)
        case (.toolCallDelta(let index, let text), .toolCallDelta(_, let more)):
            .toolCallDelta(index: index, text + more)
        default: nil
        }
    }
}
