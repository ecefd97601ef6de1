// Appends entries to one session until it is killed, and says so after each acknowledgement: the victim of the crash tests.
import Glibc
import Logging
import TauCore
import TauStorage
import TauSystem

let directory = CommandLine.arguments[1]
let id = SessionID(unchecked: CommandLine.arguments[2])
let store = try JSONLSessionStore(
    directory: directory, threads: BlockingThreads(count: 2),
    logger: Logger(label: "crash") { _ in SwiftLogNoOpLogHandler() })
var tree = SessionTree(try await store.open(id))
let text = String(repeating: "x", count: 300)
var generator = SystemRandomNumberGenerator()
while true {
    // Batches of one to four, as a turn makes them.
    var batch: [Entry] = []
    let tail = tree.entries.last?.id
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let name = String(generator.next(), radix: 16)
        let message = Message.user(
            UserMessage(content: [.text("\(name) \(text)")], timestamp: Timestamp(milliseconds: 0)))
        batch.append(
            Entry(
                .message(message), id: EntryID(unchecked: name), parentID: batch.last?.id ?? tree.leafID,
                timestamp: Timestamp(milliseconds: 0)))
    }
    do throws(StoreError) {
        try await store.append(batch, to: id, after: tail)
    } catch {
        exit(1)
    }
    for entry in batch { tree.append(entry) }
    let line = Array((batch.map(\.id.rawValue).joined(separator: " ") + "\n").utf8)
    guard write(STDOUT_FILENO, line, line.count) == line.count else { exit(1) }
}
