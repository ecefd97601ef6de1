internal import Glibc
internal import Synchronization
internal import TauCore
internal import TauSystem

/// The bounds of a log.
package struct LogLimits: Sendable {
    /// Bytes of lines that wait to be written (`log.queueBytes`); further ones are dropped, and their number is logged.
    package var queueBytes = 4 << 20
    /// Bytes of a file before another one is begun (`log.maxFileBytes`).
    package var maxFileBytes = 100 << 20
    /// Older files that are kept (`log.keptFiles`).
    package var keptFiles = 5

    package init() {}
}

/// Takes log lines from any thread without making it wait, and writes them on a thread of its own, which ends with the last owner.
package final class LogOutput: Sendable {
    /// A directory or file that cannot be opened.
    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    private let queue: LogQueue

    /// Files in a directory, or standard error where there is none. `droppedLine` makes the line that tells how many were dropped.
    package init(
        directory: String? = nil, limits: LogLimits = LogLimits(),
        droppedLine: @escaping @Sendable (Int) -> [UInt8] = { _ in [] }
    ) throws {
        queue = LogQueue(limits, droppedLine)
        var files = LogFiles(limits: limits)
        if let directory { files = try LogFiles(directory: directory, limits: limits) }
        try SystemThread.start { [queue, files] in queue.work(files) }
    }

    deinit { queue.close() }

    func write(_ line: [UInt8], isError: Bool) { queue.add(line, isError: isError) }

    /// Opens the files anew, after somebody has moved them away.
    package func reopen() { queue.reopen() }

    /// Returns when everything that was logged before is written.
    package func flush() async { await queue.flush() }
}

/// The lines that wait.
private final class LogQueue: Sendable {
    private struct State {
        var lines: [UInt8] = []
        var errorLines: [UInt8] = []
        var lineCount = 0
        var droppedCount = 0
        var mustReopen = false
        var isClosed = false
        var waiters: [CheckedContinuation<Void, Never>] = []

        var isEmpty: Bool { lineCount == 0 && droppedCount == 0 && waiters.isEmpty && !mustReopen }
    }

    private static let gatheringMicroseconds: UInt32 = 2000
    private let state = Mutex(State())
    private let signal = WakeSignal()
    private let limits: LogLimits
    private let droppedLine: @Sendable (Int) -> [UInt8]

    init(_ limits: LogLimits, _ droppedLine: @escaping @Sendable (Int) -> [UInt8]) {
        self.limits = limits
        self.droppedLine = droppedLine
    }

    func add(_ line: [UInt8], isError: Bool) {
        let isFirst = state.withLock { state in
            let isFirst = state.isEmpty
            if state.lines.count + line.count <= limits.queueBytes {
                state.lines += line
                if isError { state.errorLines += line }
                state.lineCount += 1
            } else {
                state.droppedCount += 1
            }
            return isFirst
        }
        // Only the first line wakes the thread, which gives the next ones a moment to come.
        if isFirst { signal.wake() }
    }

    func reopen() {
        state.withLock { $0.mustReopen = true }
        signal.wake()
    }

    func flush() async {
        await withCheckedContinuation { continuation in
            state.withLock { $0.waiters.append(continuation) }
            signal.wake()
        }
    }

    func close() {
        state.withLock { $0.isClosed = true }
        signal.wake()
    }

    /// Writes what comes until the queue is closed and empty.
    func work(_ files: consuming LogFiles) {
        while true {
            let (batch, isClosed) = state.withLock { state in
                let batch = state
                state = State()
                state.isClosed = batch.isClosed
                return (batch, batch.isClosed)
            }
            if batch.isEmpty {
                if isClosed { return files.close() }
                signal.wait()
                // A server that is busy has more to say at once; a thread that is woken for each line costs more than the lines.
                usleep(Self.gatheringMicroseconds)
                continue
            }
            if batch.mustReopen { files.reopen() }
            write(batch, &files)
            for waiter in batch.waiters { waiter.resume() }
        }
    }

    private func write(_ batch: State, _ files: inout LogFiles) {
        var dropped = batch.droppedCount
        if batch.lineCount > 0, !files.write(batch.lines, errors: batch.errorLines) { dropped += batch.lineCount }
        guard dropped > 0 else { return }
        Measurements.droppedRecords.add(dropped, "log")
        let line = droppedLine(dropped)
        // Where there is no room for this either, the metric tells.
        _ = files.write(line, errors: line)
    }
}
