import Synchronization
import TauCore
import Testing

@Suite(.timeLimit(.minutes(1))) struct FairQueueTests {
    /// Who was served, in order.
    final class Served: Sendable {
        private let names = Mutex<[String]>([])
        func add(_ name: String) { names.withLock { $0.append(name) } }
        var all: [String] { names.withLock { $0 } }
    }

    @Test func `owners are served in turns, and each in order`() async throws {
        let queue = FairQueue<String>(places: 1, maxWaiting: 100)
        let served = Served()
        try await queue.enter("first")
        await withTaskGroup(of: Void.self) { group in
            // One owner has many waiting before the other one comes.
            for (index, name) in ["a1", "a2", "a3", "a4", "b1", "c1", "b2"].enumerated() {
                group.addTask {
                    try? await queue.enter(String(name.prefix(1)))
                    served.add(name)
                    queue.leave()
                }
                while queue.waitingCount < index + 1 { await Task.yield() }
            }
            queue.leave()
        }
        #expect(served.all == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"])
        #expect(queue.waitingCount == 0)
    }

    @Test func `groups have turns above those of their owners`() async throws {
        let queue = FairQueue<String>(places: 1, maxWaiting: 100) { String($0.prefix(1)) }
        let served = Served()
        try await queue.enter("first")
        await withTaskGroup(of: Void.self) { group in
            for (index, name) in ["ax1", "ax2", "ay1", "az1", "bx1", "ay2", "bx2"].enumerated() {
                group.addTask {
                    try? await queue.enter(String(name.prefix(2)))
                    served.add(name)
                    queue.leave()
                }
                while queue.waitingCount < index + 1 { await Task.yield() }
            }
            queue.leave()
        }
        #expect(served.all == ["ax1", "bx1", "ay1", "bx2", "az1", "ax2", "ay2"])
    }

    @Test func `more than may wait are refused, and a place that was given back is a place`() async throws {
        let queue = FairQueue<Int>(places: 2, maxWaiting: 1)
        try await queue.enter(1)
        try await queue.enter(1)
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { (try? await queue.enter(1)) != nil }
            while queue.waitingCount < 1 { await Task.yield() }
            await #expect(throws: FairQueue<Int>.Refusal.full) { try await queue.enter(2) }
            queue.leave()
            #expect(await group.next() == true)
        }
        queue.leave()
        queue.leave()
        try await queue.enter(3)
    }

    @Test func `who is cancelled leaves the queue and takes no place with it`() async throws {
        let queue = FairQueue<Int>(places: 1, maxWaiting: 10)
        try await queue.enter(1)
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                do throws(FairQueue<Int>.Refusal) {
                    try await queue.enter(2)
                    return false
                } catch {
                    return error == .cancelled
                }
            }
            while queue.waitingCount < 1 { await Task.yield() }
            group.cancelAll()
            #expect(await group.next() == true)
        }
        #expect(queue.waitingCount == 0)
        queue.leave()
        try await queue.enter(3)
    }
}
