internal import Synchronization
internal import TauCore

/// A part of the server that `/health` tells of.
package struct HealthPart: Sendable {
    /// As the answer calls it.
    let name: String
    /// Whether the server is of use without it.
    let isRequired: Bool
    /// Time that a check may take before the part counts as down.
    let timeout: Duration
    /// What is wrong now; nil for nothing. It may hang.
    let problem: @Sendable () async -> String?

    package init(
        _ name: String, isRequired: Bool, timeout: Duration = .seconds(2),
        problem: @escaping @Sendable () async -> String?
    ) {
        self.name = name
        self.isRequired = isRequired
        self.timeout = timeout
        self.problem = problem
    }
}

/// Asks one part how it is, one check at a time whoever wants to know, and keeps what it has said for a second: probes cannot load it.
final class PartMonitor: Sendable {
    struct Finding: Sendable {
        var problem: String?
        var milliseconds: Int64
        var time: Timestamp
    }

    private struct State {
        var last: Finding?
        var nextID = 0
        var waiting: [Int: CheckedContinuation<Finding?, Never>] = [:]
    }

    let part: HealthPart
    private let now: @Sendable () -> Timestamp
    private let state = Mutex(State())
    private let (wishes, wish) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    private static let keepMilliseconds: Int64 = 1000

    init(_ part: HealthPart, now: @escaping @Sendable () -> Timestamp) {
        self.part = part
        self.now = now
    }

    /// Checks whenever somebody wants to know, until the task is cancelled.
    func work() async {
        for await _ in wishes {
            let start = now()
            let problem = await part.problem()
            let end = now()
            let finding = Finding(
                problem: problem, milliseconds: end.milliseconds - start.milliseconds, time: end)
            let waiting = state.withLock { state in
                defer { state.waiting = [:] }
                state.last = finding
                return state.waiting.values
            }
            for continuation in waiting { continuation.resume(returning: finding) }
        }
    }

    /// How the part is: as of a second ago at most, or what a check says that is made now.
    func finding() async -> Finding {
        let start = now()
        let (last, id) = state.withLock { state in
            state.nextID += 1
            return (state.last, state.nextID)
        }
        if let last, start.milliseconds - last.time.milliseconds < Self.keepMilliseconds { return last }
        let found = await withTaskGroup(of: Finding?.self) { group in
            group.addTask { await self.wait(id) }
            group.addTask { [part] in
                // A cancelled sleep ends early, and then its answer is not used.
                try? await Task.sleep(for: part.timeout)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        let end = now()
        return found
            ?? Finding(
                problem: "\(part.name) did not answer in \(part.timeout)",
                milliseconds: end.milliseconds - start.milliseconds, time: end)
    }

    /// The next finding; nil for who is cancelled.
    private func wait(_ id: Int) async -> Finding? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                state.withLock { $0.waiting[id] = continuation }
                // Whoever is cancelled before this line is not heard by the handler.
                if Task.isCancelled { abandon(id) }
                wish.yield()
            }
        } onCancel: {
            abandon(id)
        }
    }

    private func abandon(_ id: Int) {
        state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(returning: nil)
    }
}
