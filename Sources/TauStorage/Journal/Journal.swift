internal import Logging
internal import Synchronization
internal import TauCore
internal import TauSystem

/// Makes the appends of all sessions of a process durable, many with one sync.
///
/// What arrives while one batch is on its way to the disk is the next batch. A batch is written to the journal and
/// synced; then its lines are written to the session files, without a sync; then it is acknowledged. So a session file holds
/// at every moment what was acknowledged, and only what survives: after a kill from the kernel's cache, after a power
/// cut from the journal. A checkpoint syncs the session files and lets the journal begin anew.
final class Journal: Sendable {
    private enum Job {
        case append([Entry], byteCount: Int, after: EntryID?)
        case release
    }

    private struct Request {
        var writer: SessionWriter
        var job: Job
        var continuation: CheckedContinuation<Result<Void, StoreError>, Never>

        var byteCount: Int { if case .append(_, let count, _) = job { count } else { 0 } }
    }

    private struct Queue {
        var waiting: [Request] = []
        var isWorking = false
    }

    /// What only the thread that commits touches.
    private struct Work {
        var file: JournalFile?
        var buffer = JournalBuffer(nextSequence: .random(in: 1...(.max >> 1)))
        /// Those with records that the journal still holds.
        var journaled: [SessionWriter] = []
        /// Journals that were given up after an error.
        var abandonedCount = 0
    }

    private let directory: JournalDirectory
    private let limits: JournalLimits
    private let threads: BlockingThreads
    private let logger: Logger
    private let queue = Mutex(Queue())
    private let work = Mutex(Work())

    init(directory: JournalDirectory, limits: JournalLimits, threads: BlockingThreads, logger: Logger) {
        self.directory = directory
        self.limits = limits
        self.threads = threads
        self.logger = logger
    }

    // MARK: From any task

    /// Returns once the entries are durable, all of them; after an error none is there, unless it says that the session must
    /// be opened again.
    func append(_ entries: [Entry], to writer: SessionWriter, after expected: EntryID?) async throws(StoreError) {
        let byteCount = entries.reduce(0) { $0 + $1.line.count + 1 }
        try await submit(writer, .append(entries, byteCount: byteCount, after: expected))
    }

    /// Gives up the right to write a session, after what is under way.
    func release(_ writer: SessionWriter) async throws(StoreError) {
        try await submit(writer, .release)
    }

    private func submit(_ writer: SessionWriter, _ job: Job) async throws(StoreError) {
        let result = await withCheckedContinuation { continuation in
            let isFirst = queue.withLock { queue in
                queue.waiting.append(Request(writer: writer, job: job, continuation: continuation))
                defer { queue.isWorking = true }
                return !queue.isWorking
            }
            if isFirst { threads.submit { self.commitAll() } }
        }
        try result.get()
    }

    /// Syncs all session files and lets the journal begin anew.
    func checkpoint() async throws(StoreError) {
        try await threads.run { [self] () throws(StoreError) in
            try work.withLock { work throws(StoreError) in
                work.buffer.clear()
                try checkpoint(&work)
            }
        }
    }

    /// A checkpoint after which no journal is needed; for the end of the process, when nothing is appended any more.
    func close() async throws(StoreError) {
        try await threads.run { [self] () throws(StoreError) in
            try work.withLock { work throws(StoreError) in
                guard let file = work.file else { return }
                work.buffer.clear()
                try checkpoint(&work)
                try directory.remove(file)
                work.file = nil
            }
        }
    }

    // MARK: On one thread at a time

    private func commitAll() {
        while let batch = nextBatch() {
            work.withLock { work in commit(batch, &work) }
        }
    }

    private func nextBatch() -> [Request]? {
        queue.withLock { queue in
            var count = 0
            var bytes = 0
            for request in queue.waiting {
                bytes += request.byteCount
                guard count == 0 || bytes <= limits.batchBytes && request.byteCount <= limits.directBytes else { break }
                count += 1
                if request.byteCount > limits.directBytes { break }
            }
            guard count > 0 else {
                queue.isWorking = false
                return nil
            }
            defer { queue.waiting.removeFirst(count) }
            return Array(queue.waiting.prefix(count))
        }
    }

    /// An append that has its place in the journal and in its file.
    private struct Placed {
        var request: Request
        var append: SessionWriter.PlacedAppend
        var range: Range<Int>
    }

    private func commit(_ batch: [Request], _ work: inout Work) {
        if batch.count == 1, batch[0].byteCount > limits.directBytes { return appendDirectly(batch[0], &work) }
        work.buffer.clear()
        var placed: [Placed] = []
        placed.reserveCapacity(batch.count)
        var released: [Request] = []
        for request in batch {
            switch request.job {
            case .append(let entries, _, let expected):
                do throws(StoreError) {
                    if let place = try place(entries, expected, request, &work.buffer) { placed.append(place) }
                } catch {
                    request.continuation.resume(returning: .failure(error))
                }
            case .release:
                request.writer.refuseAppends()
                released.append(request)
            }
        }
        if !placed.isEmpty {
            let start = ContinuousClock.now
            store(placed, &work)
            Measurements.batchSize.observe(Double(placed.count))
            Measurements.flushDuration.observe(since: start)
        }
        if !released.isEmpty { release(released, &work) }
    }

    private func place(
        _ entries: [Entry], _ expected: EntryID?, _ request: Request, _ buffer: inout JournalBuffer
    ) throws(StoreError) -> Placed? {
        guard let append = try request.writer.place(entries, after: expected) else {
            request.continuation.resume(returning: .success(()))
            return nil
        }
        let range = buffer.add(.append, request.writer.id, offset: append.offset) { bytes in
            if append.needsLineFeed { bytes.append(UInt8(ascii: "\n")) }
            SessionWriter.encode(entries, into: &bytes)
        }
        request.writer.occupy(range.count)
        return Placed(request: request, append: append, range: range)
    }

    private func store(_ placed: [Placed], _ work: inout Work) {
        let abandonedCount = work.abandonedCount
        do throws(StoreError) {
            try writeJournal(&work)
        } catch {
            for item in placed.reversed() {
                item.request.writer.takeBack(item.append)
                // An abandoned journal may hold this append or not, which only its replay settles.
                if work.abandonedCount > abandonedCount { item.request.writer.fail(error) }
            }
            for item in placed { item.request.continuation.resume(returning: .failure(error)) }
            return
        }
        var canceled: [Placed] = []
        var failure: StoreError?
        for item in placed {
            let writer = item.request.writer
            if writer.beginJournaling() { work.journaled.append(writer) }
            // Entries that follow a canceled one have nothing to follow.
            guard !canceled.contains(where: { $0.request.writer === writer }) else {
                canceled.append(item)
                continue
            }
            do throws(StoreError) {
                try writer.handle.write(work.buffer.bytes[item.range], at: item.append.offset)
                item.request.continuation.resume(returning: .success(()))
            } catch {
                failure = error
                canceled.append(item)
            }
        }
        if let failure { cancel(canceled, failure, &work) }
    }

    /// Takes appends back that the journal has but their files have no room for.
    private func cancel(_ canceled: [Placed], _ failure: StoreError, _ work: inout Work) {
        for item in canceled.reversed() { item.request.writer.takeBack(item.append) }
        var writers: [SessionWriter] = []
        for item in canceled where !writers.contains(where: { $0 === item.request.writer }) {
            writers.append(item.request.writer)
        }
        work.buffer.clear()
        for writer in writers { work.buffer.add(.cancel, writer.id, offset: writer.size) }
        do throws(StoreError) {
            // Before the record: once it is written, nobody looks at the files' ends again.
            for writer in writers { try writer.handle.truncate(to: writer.size) }
            try writeJournal(&work)
        } catch {
            for writer in writers { writer.fail(error) }
            abandonJournal(error, &work)
        }
        for item in canceled { item.request.continuation.resume(returning: .failure(failure)) }
    }

    /// Announces a long append in the journal, and writes it straight into its file.
    private func appendDirectly(_ request: Request, _ work: inout Work) {
        guard case .append(let entries, let byteCount, let expected) = request.job else { return }
        let abandonedCount = work.abandonedCount
        let result: Result<Void, StoreError> = Result { () throws(StoreError) in
            let writer = request.writer
            guard let append = try writer.place(entries, after: expected) else { return }
            var bytes: [UInt8] = []
            bytes.reserveCapacity(byteCount + 1)
            if append.needsLineFeed { bytes.append(UInt8(ascii: "\n")) }
            SessionWriter.encode(entries, into: &bytes)
            work.buffer.clear()
            work.buffer.addDirect(writer.id, offset: append.offset, content: bytes)
            do throws(StoreError) {
                try writeJournal(&work)
                if writer.beginJournaling() { work.journaled.append(writer) }
                try writer.handle.write(bytes, at: append.offset)
            } catch {
                writer.takeBack(append)
                // An abandoned journal may hold the announcement or not, which only its replay settles: until then nothing may
                // take its place in the file, or the replay would take that for a torn end.
                guard work.abandonedCount == abandonedCount else {
                    writer.fail(error)
                    throw error
                }
                do throws(StoreError) {
                    try writer.handle.truncate(to: append.offset)
                } catch {
                    writer.fail(error)
                    abandonJournal(error, &work)
                }
                throw error
            }
            do throws(StoreError) {
                try writer.handle.synchronize()
            } catch {
                // After a failed sync the kernel may call pages clean that never reached the disk, also those of earlier
                // appends: only the journal's replay writes them again.
                writer.takeBack(append)
                writer.fail(error)
                abandonJournal(error, &work)
                throw error
            }
            writer.occupy(bytes.count)
        }
        request.continuation.resume(returning: result)
    }

    /// The files' owners may change now: what the journal has of them must be on the disk, and say nothing any more.
    private func release(_ released: [Request], _ work: inout Work) {
        work.buffer.clear()
        let result: Result<Void, StoreError> = Result { () throws(StoreError) in
            let writers = released.map(\.writer).filter(\.isJournaled)
            guard !writers.isEmpty else { return }
            do throws(StoreError) {
                for writer in writers {
                    try writer.handle.synchronize()
                    work.buffer.add(.release, writer.id, offset: writer.size)
                }
                try writeJournal(&work)
            } catch {
                abandonJournal(error, &work)
                throw error
            }
            work.journaled.removeAll { journaled in writers.contains { $0 === journaled } }
        }
        for request in released {
            request.writer.handle.unlock()
            request.continuation.resume(returning: result)
        }
    }

    // MARK: The file

    /// Writes the buffer to the journal and syncs it. After an error of the disk the journal is abandoned; where there is only
    /// no space, it goes on.
    private func writeJournal(_ work: inout Work) throws(StoreError) {
        if work.file == nil { work.file = try directory.create(maxBytes: limits.maxBytes) }
        let count = work.buffer.bytes.count
        if try work.file?.reserve(count) == false {
            try checkpoint(&work)
            guard try work.file?.reserve(count) == true else {
                throw StoreError(.unavailable, "no space for \(count) bytes of the journal")
            }
        }
        do throws(StoreError) {
            try work.file?.write(work.buffer.bytes)
        } catch {
            abandonJournal(error, &work)
            throw error
        }
    }

    private func checkpoint(_ work: inout Work) throws(StoreError) {
        guard work.file?.hasRecords == true else { return }
        let writers = work.journaled
        let failures = threads.concurrently(writers.count) { index -> StoreError? in
            do throws(StoreError) {
                try writers[index].handle.synchronize()
                return nil
            } catch {
                return error
            }
        }
        do throws(StoreError) {
            if let failure = failures.first { throw failure }
            // What waits in the buffer is numbered already, and must follow.
            var start = JournalBuffer(nextSequence: work.buffer.firstSequence &- 1)
            start.add(.start, nil, offset: 0)
            try work.file?.restart(with: start.bytes)
        } catch {
            // What could not be synced is in the journal, which must stay for that.
            abandonJournal(error, &work)
            throw error
        }
        for writer in writers { writer.endJournaling() }
        work.journaled = []
    }

    /// After a failed sync nobody knows what the disk has of the journal's last records: it is never synced again. It is
    /// left like a dead process's, to be read back and replayed, and its sessions must be opened again.
    private func abandonJournal(_ error: StoreError, _ work: inout Work) {
        guard work.file != nil else { return }
        work.abandonedCount += 1
        logger.error("the journal is given up after an error", metadata: ["reason": "\(error)"])
        for writer in work.journaled { writer.fail(error) }
        work.journaled = []
        work.file?.handle.unlock()
        work.file = nil
    }
}

/// The bounds of a journal.
package struct JournalLimits: Sendable {
    /// Bytes of the journal (`store.journalBytes`); when they are full, a checkpoint is due.
    package var maxBytes = 64 << 20
    /// An append of more bytes goes straight into its file, which is then synced: no byte of it is written twice.
    package var directBytes = 1 << 20
    /// Bytes of one batch, if it is more than one append.
    package var batchBytes = 4 << 20

    package init() {}
}
