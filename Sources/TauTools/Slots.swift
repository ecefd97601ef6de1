internal import Synchronization
internal import TauCore

/// A bounded number of places; who finds none waits in order.
final class Slots: Sendable {
    private struct Waiter {
        let id: UInt64
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var free: Int
        var nextID: UInt64 = 0
        /// About to wait; cancelling one that is not waiting yet takes it out.
        var arriving: Set<UInt64> = []
        var waiters: [Waiter] = []
    }

    private let state: Mutex<State>
    private let maxWaiting: Int

    init(count: Int, maxWaiting: Int) {
        state = Mutex(State(free: max(1, count)))
        self.maxWaiting = maxWaiting
    }

    /// Takes a place, which must be given back with `release`. Throws `aborted` if the task is cancelled first, and
    /// `unavailable` if too many wait already.
    func acquire() async throws(ToolFailure) {
        enum Ticket { case taken, waiting(UInt64), full }
        let ticket: Ticket = state.withLock { state in
            if state.free > 0 {
                state.free -= 1
                return .taken
            }
            guard state.waiters.count + state.arriving.count < maxWaiting else { return .full }
            state.nextID += 1
            state.arriving.insert(state.nextID)
            return .waiting(state.nextID)
        }
        switch ticket {
        case .full: throw ToolFailure(.unavailable, "Too many calls are waiting; try again later")
        case .waiting(let id): guard await wait(id) else { throw .aborted }
        case .taken: break
        }
        if Task.isCancelled {
            release()
            throw .aborted
        }
    }

    func release() {
        let next: Waiter? = state.withLock { state in
            if state.waiters.isEmpty {
                state.free += 1
                return nil
            }
            return state.waiters.removeFirst()
        }
        // The place passes on without becoming free, so that nobody overtakes.
        next?.continuation.resume(returning: true)
    }

    /// Whether a place was given; false if the task was cancelled.
    private func wait(_ id: UInt64) async -> Bool {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let now: Bool? = state.withLock { state in
                    guard state.arriving.remove(id) != nil else { return false }
                    // A place may have become free since.
                    if state.free > 0 {
                        state.free -= 1
                        return true
                    }
                    state.waiters.append(Waiter(id: id, continuation: continuation))
                    return nil
                }
                if let now { continuation.resume(returning: now) }
            }
        } onCancel: {
            let waiter: Waiter? = state.withLock { state in
                state.arriving.remove(id)
                return state.waiters.firstIndex { $0.id == id }.map { state.waiters.remove(at: $0) }
            }
            waiter?.continuation.resume(returning: false)
        }
    }
}
