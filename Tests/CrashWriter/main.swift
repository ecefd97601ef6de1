// Appends entries to several sessions at once until it is killed, and says so after each acknowledgement: the victim of the
// crash tests.
//
//     CrashWriter DIRECTORY SESSIONS BATCHES JOURNAL_BYTES GOES_ON
//
// With BATCHES it ends after so many for each session, and ends well. With GOES_ON (1) an append that fails makes it open the session
// again and go on, as a server does; otherwise it ends.
import Glibc
import Logging
import TauCore
import TauStorage
import TauSystem

let numbers = CommandLine.arguments.dropFirst(2).compactMap { Int($0) }
let (sessionCount, batchCount, goesOn) = (numbers[0], numbers[1], numbers[3] == 1)
var limits = JournalLimits()
limits.maxBytes = numbers[2]
limits.directBytes = 3000
let store = try JSONLSessionStore(
    directory: CommandLine.arguments[1], catalog: CommandLine.arguments[1] + "/.catalog.sqlite", journalLimits: limits,
    threads: BlockingThreads(count: 4),
    logger: Logger(label: "crash") { _ in SwiftLogNoOpLogHandler() })

/// Batches of one to four entries, as a turn makes them; some are long.
func batch(after tree: SessionTree) -> [Entry] {
    var batch: [Entry] = []
    let name = String(UInt64.random(in: .min ... .max), radix: 36)
    let count = Int.random(in: 1...4)
    for number in 1...count {
        let text = String(repeating: "x", count: Int.random(in: 0..<20) == 0 ? 4000 : 300)
        let message = Message.user(UserMessage(content: [.text(text)], timestamp: Timestamp(milliseconds: 0)))
        batch.append(
            Entry(
                .message(message), id: EntryID(unchecked: "\(name).\(number)of\(count)"),
                parentID: batch.last?.id ?? tree.leafID, timestamp: Timestamp(milliseconds: 0)))
    }
    return batch
}

func append(to id: SessionID) async throws {
    var tree = SessionTree(try await store.open(id))
    var count = 0
    while batchCount == 0 || count < batchCount {
        let entries = batch(after: tree)
        do throws(StoreError) {
            try await store.append(entries, to: id, after: tree.entries.last?.id)
        } catch {
            guard goesOn else { exit(1) }
            await store.close(id)
            tree = SessionTree(try await store.open(id))
            continue
        }
        for entry in entries { tree.append(entry) }
        count += 1
        // One write, so that the lines of several sessions do not mix.
        let line = Array(("\(id) " + entries.map(\.id.rawValue).joined(separator: " ") + "\n").utf8)
        guard write(STDOUT_FILENO, line, line.count) == line.count else { exit(1) }
        // Often, so that crashes come before, during and after it. One that fails is told by the next append.
        if count.isMultiple(of: 7) { try? await store.checkpoint() }
    }
    await store.close(id)
}

try await withThrowingTaskGroup(of: Void.self) { group in
    for number in 0..<sessionCount {
        group.addTask { try await append(to: SessionID(unchecked: "crash-\(number)")) }
    }
    try await group.waitForAll()
}
try await store.shutDown()
