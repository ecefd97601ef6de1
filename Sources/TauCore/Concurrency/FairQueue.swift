internal import Synchronization

/// A bounded number of places. Who finds none waits; owners with somebody waiting are served in turns, and within one
/// owner in order, so that a thousand callers of one owner do not delay another's one. Owners may belong to groups, which have turns
/// above theirs: neither do the owners of a large group.
package final class FairQueue<Owner: Hashable & Sendable>: Sendable {
    /// Why no place was given.
    package enum Refusal: Error {
        case cancelled
        /// As many as allowed are waiting.
        case full
    }

    private struct Waiter {
        let id: UInt64
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var free: Int
        var nextID: UInt64 = 0
        /// About to wait; cancelling one that is not waiting yet takes it out.
        var arriving: Set<UInt64> = []
        var waiting: [Owner: [Waiter]] = [:]
        /// Groups with somebody waiting, the next one to be served first, and the same for the owners of each.
        var groups: [String] = []
        var owners: [String: [Owner]] = [:]
        var waitingCount = 0

        mutating func removeFirst() -> Waiter? {
            guard !groups.isEmpty else { return nil }
            let group = groups.removeFirst()
            guard let owner = owners[group]?.removeFirst() else { return nil }
            let waiter = waiting[owner]?.removeFirst()
            waitingCount -= 1
            if waiting[owner]?.isEmpty == false { owners[group]?.append(owner) } else { waiting[owner] = nil }
            if owners[group]?.isEmpty == false { groups.append(group) } else { owners[group] = nil }
            return waiter
        }

        mutating func append(_ waiter: Waiter, of owner: Owner, in group: String) {
            if owners[group] == nil { groups.append(group) }
            if waiting[owner] == nil { owners[group, default: []].append(owner) }
            waiting[owner, default: []].append(waiter)
            waitingCount += 1
        }

        mutating func remove(_ id: UInt64, of owner: Owner, in group: String) -> Waiter? {
            arriving.remove(id)
            guard let place = waiting[owner]?.firstIndex(where: { $0.id == id }),
                let waiter = waiting[owner]?.remove(at: place)
            else { return nil }
            waitingCount -= 1
            if waiting[owner]?.isEmpty == true {
                waiting[owner] = nil
                owners[group]?.removeAll { $0 == owner }
                if owners[group]?.isEmpty == true {
                    owners[group] = nil
                    groups.removeAll { $0 == group }
                }
            }
            return waiter
        }
    }

    private enum Ticket { case taken, waiting(UInt64), full }

    private let state: Mutex<State>
    private let maxWaiting: Int
    private let group: @Sendable (Owner) -> String

    /// At least one place; `maxWaiting` bounds those that wait, of all owners together.
    package init(places: Int, maxWaiting: Int, group: @escaping @Sendable (Owner) -> String = { _ in "" }) {
        state = Mutex(State(free: max(1, places)))
        self.maxWaiting = maxWaiting
        self.group = group
    }

    /// Whether somebody who came now would not wait.
    package var hasFreePlace: Bool { state.withLock { $0.free > 0 } }

    /// How many wait now.
    package var waitingCount: Int { state.withLock { $0.waitingCount } }

    /// Takes a place for the time of `body`.
    package func withPlace<Value, Failure: Error>(
        for owner: Owner, refused: (Refusal) -> Failure, _ body: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        do throws(Refusal) {
            try await enter(owner)
        } catch {
            throw refused(error)
        }
        defer { leave() }
        return try await body()
    }

    /// Takes a place, which must be given back with `leave`.
    package func enter(_ owner: Owner) async throws(Refusal) {
        let ticket: Ticket = state.withLock { state in
            if state.free > 0 {
                state.free -= 1
                return .taken
            }
            guard state.waitingCount + state.arriving.count < maxWaiting else { return .full }
            state.nextID += 1
            state.arriving.insert(state.nextID)
            return .waiting(state.nextID)
        }
        switch ticket {
        case .full: throw .full
        case .waiting(let id): guard await wait(id, owner) else { throw .cancelled }
        case .taken: break
        }
        if Task.isCancelled {
            leave()
            throw .cancelled
        }
    }

    /// Gives a place back; it passes on without becoming free, so that nobody overtakes.
    package func leave() {
        let next: Waiter? = state.withLock { state in
            let waiter = state.removeFirst()
            if waiter == nil { state.free += 1 }
            return waiter
        }
        next?.continuation.resume(returning: true)
    }

    /// Whether a place was given; false if the task was cancelled.
    private func wait(_ id: UInt64, _ owner: Owner) async -> Bool {
        let group = group(owner)
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let now: Bool? = state.withLock { state in
                    guard state.arriving.remove(id) != nil else { return false }
                    // A place may have become free since.
                    if state.free > 0 {
                        state.free -= 1
                        return true
                    }
                    state.append(Waiter(id: id, continuation: continuation), of: owner, in: group)
                    return nil
                }
                if let now { continuation.resume(returning: now) }
            }
        } onCancel: {
            state.withLock { $0.remove(id, of: owner, in: group) }?.continuation.resume(returning: false)
        }
    }
}
