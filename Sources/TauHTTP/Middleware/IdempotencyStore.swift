internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import Synchronization
internal import TauCore

/// Answers of POSTs by idempotency key: the same key and body get the first answer again.
///
/// Kept in memory for 24 hours and `maxKeys` keys; the oldest go first.
final class IdempotencyStore: Sendable {
    /// An answer in the form in which it can be given again.
    enum Answer: Sendable {
        case response(HTTPResponse.Status, HTTPFields, [UInt8])
        /// The events of a run, from the first.
        case events(RunID)
    }

    struct Key: Hashable, Sendable {
        var owner: Owner
        var text: String
    }

    private enum Slot {
        case working([CheckedContinuation<Void, Never>])
        case answered(Answer)
    }

    private struct Record {
        var slot: Slot
        var fingerprint: Int
        var time: Timestamp
    }

    private struct State {
        var records: [Key: Record] = [:]
        /// Oldest first.
        var order: [Key] = []
    }

    private static let lifetimeMilliseconds: Int64 = 24 * 3600 * 1000
    private let maxKeys: Int
    private let now: @Sendable () -> Timestamp
    private let state = Mutex(State())

    init(maxKeys: Int, now: @escaping @Sendable () -> Timestamp) {
        self.maxKeys = maxKeys
        self.now = now
    }

    /// Gives the first answer again, or makes it with `work`. An answer that is an error is not kept: a retry may succeed.
    ///
    /// `fingerprint` stands for the request's path and body.
    func answer(
        _ key: Key, fingerprint: Int, _ work: () async throws -> Answer
    ) async throws -> Answer {
        while true {
            let (known, isMine, isOther) = claim(key, fingerprint)
            if isOther {
                throw Problem(.idempotencyMismatch, "The Idempotency-Key was used with another path or body.")
            }
            if let known { return known }
            if isMine { break }
            await waitForAnswer(key)
        }
        do {
            let answer = try await work()
            settle(key, answer)
            return answer
        } catch {
            settle(key, nil)
            throw error
        }
    }

    private func claim(_ key: Key, _ fingerprint: Int) -> (known: Answer?, isMine: Bool, isOther: Bool) {
        let time = now()
        return state.withLock { state in
            expire(&state, time)
            if let record = state.records[key] {
                guard record.fingerprint == fingerprint else { return (nil, false, true) }
                if case .answered(let answer) = record.slot { return (answer, false, false) }
                return (nil, false, false)
            }
            state.records[key] = Record(slot: .working([]), fingerprint: fingerprint, time: time)
            state.order.append(key)
            return (nil, true, false)
        }
    }

    private func expire(_ state: inout State, _ time: Timestamp) {
        var count = 0
        while count < state.order.count, let record = state.records[state.order[count]] {
            let isOld = time.milliseconds - record.time.milliseconds > Self.lifetimeMilliseconds
            guard isOld || state.order.count - count >= maxKeys, case .answered = record.slot else { break }
            state.records[state.order[count]] = nil
            count += 1
        }
        state.order.removeFirst(count)
    }

    private func settle(_ key: Key, _ answer: Answer?) {
        let waiting = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            guard case .working(let waiting) = state.records[key]?.slot else { return [] }
            if let answer {
                state.records[key]?.slot = .answered(answer)
            } else {
                state.records[key] = nil
                state.order.removeAll { $0 == key }
            }
            return waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    private func waitForAnswer(_ key: Key) async {
        await withCheckedContinuation { continuation in
            let isSettled = state.withLock { state in
                guard case .working(let waiting) = state.records[key]?.slot else { return true }
                state.records[key]?.slot = .working(waiting + [continuation])
                return false
            }
            if isSettled { continuation.resume() }
        }
    }
}
