internal import Logging
internal import Synchronization
internal import TauCore
internal import TauSystem

/// Brings the session files up to what the journals of dead processes promise. The calls block.
final class JournalReplay: Sendable {
    private let journals: JournalDirectory
    private let sessions: SessionDirectory
    private let logger: Logger
    /// A session may be opened only once its records are where they belong: who comes second waits for the first.
    private let running = Mutex(())

    init(journals: JournalDirectory, sessions: SessionDirectory, logger: Logger) {
        self.journals = journals
        self.sessions = sessions
        self.logger = logger
    }

    /// Replays each journal whose process has ended, makes the session files durable, and removes the journal.
    ///
    /// Where no power was lost the files have it all already. It may be repeated, or broken off, at any point.
    func run() throws(StoreError) {
        try running.withLock { _ throws(StoreError) in try replayOrphans() }
    }

    private func replayOrphans() throws(StoreError) {
        try journals.forEachOrphan { name, handle throws(StoreError) in
            var isWhole = true
            let bytes = try handle.readAll()
            let records = JournalRecord.records(in: bytes)
            let pending = Self.pending(records)
            if !pending.isEmpty, let last = records.last {
                // The process may have died before the sync of its last records, or after one that failed. They must be there
                // to stay before a file has a part of what they say. After a failed sync only writing them again helps.
                try handle.write(bytes[..<last.content.endIndex], at: 0)
                try handle.synchronize()
            }
            for (id, records) in pending {
                if try !replay(records, id) { isWhole = false }
            }
            if !pending.isEmpty {
                logger.notice(
                    "the journal of a process that had not ended well was replayed",
                    metadata: ["sessions": "\(pending.count)"])
            }
            if !isWhole { try journals.setAside(name) }
        }
    }

    /// The appends of each session that were not settled, in order.
    static func pending(_ records: [JournalRecord]) -> [SessionID: [JournalRecord]] {
        var pending: [SessionID: [JournalRecord]] = [:]
        for record in records {
            guard let id = record.session else { continue }
            switch record.kind {
            case .append, .direct: pending[id, default: []].append(record)
            case .release: pending[id] = nil
            case .cancel: pending[id]?.removeAll { $0.offset >= record.offset }
            case .start: break
            }
        }
        return pending.filter { !$0.value.isEmpty }
    }

    /// False if the file holds something else where the records belong.
    private func replay(_ records: [JournalRecord], _ id: SessionID) throws(StoreError) -> Bool {
        let file: FileHandle
        do throws(StoreError) {
            file = try sessions.openForReplay(id)
        } catch  where error.code == .notFound {
            return true
        }
        // Its owner lives: then the kernel has all that was acknowledged, and what was not is the owner's matter.
        let isOwned = try !file.lock()
        defer { if !isOwned { file.unlock() } }
        var isWhole = true
        for record in records {
            if let direct = record.directContent {
                try settle(direct, at: record.offset, in: file, isOwned: isOwned)
                continue
            }
            switch try Self.place(of: record, in: file) {
            case .same: try file.write(record.content, at: record.offset)
            case .missing where !isOwned: try file.write(record.content, at: record.offset)
            case .missing: break
            case .other:
                logger.error(
                    "a journal's entry was not replayed: its place in the session file is taken",
                    metadata: ["session_id": "\(id)", "offset": "\(record.offset)"])
                isWhole = isOwned
            }
            if !isWhole { break }
        }
        // Also what was the same is written: a kernel that has failed to write it may call it clean.
        try file.synchronize()
        return isWhole
    }

    /// Writes again what went straight into the file, or cuts it off where it was torn on its way.
    private func settle(
        _ direct: (count: Int, checksum: UInt32), at offset: Int, in file: FileHandle, isOwned: Bool
    ) throws(StoreError) {
        let found = try file.read(at: offset, atMost: direct.count)
        if found.count == direct.count, found.withUnsafeBytes({ checksum($0) }) == direct.checksum {
            try file.write(found, at: offset)
        } else if !isOwned, !found.isEmpty, try file.size() - offset <= direct.count {
            try file.truncate(to: offset)
        }
    }

    private enum Place { case same, missing, other }

    /// Compares a record with what its file has there.
    private static func place(of record: JournalRecord, in file: FileHandle) throws(StoreError) -> Place {
        let feed = UInt8(ascii: "\n")
        if record.offset > 0 {
            guard let before = try file.read(at: record.offset - 1, atMost: 1).first else { return .other }
            guard before == feed || record.content.first == feed else { return .other }
        }
        let found = try file.read(at: record.offset, atMost: record.content.count)
        var lineStart = 0
        for (index, byte) in record.content.enumerated() {
            guard index < found.count else { return .missing }
            guard found[index] == byte else {
                // What a power cut leaves of a line is a part of it, zeros, or both in turn; it is never another entry.
                let line = try file.readLine(at: record.offset + lineStart)
                return (try? Entry(line: line[...])) == nil ? .missing : .other
            }
            if byte == feed { lineStart = index + 1 }
        }
        return .same
    }
}
