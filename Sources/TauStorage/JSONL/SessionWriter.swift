internal import Synchronization
internal import TauCore

/// The one writer of one open session file. The calls block; they are made one after the other.
final class SessionWriter: Sendable {
    private struct State {
        /// The last entry that is on disk.
        var tail: EntryID?
        /// Bytes on disk; everything after is not acknowledged.
        var size: Int
        /// An imported file keeps its last byte, until something is appended.
        var lacksLineFeed: Bool
        /// Set by an error after which the file's state is unknown; the session must be opened again.
        var failure: StoreError?
    }

    let id: SessionID
    private let handle: FileHandle
    private let state: Mutex<State>

    init(id: SessionID, handle: FileHandle, size: Int, tail: EntryID?, lacksLineFeed: Bool = false) {
        self.id = id
        self.handle = handle
        state = Mutex(State(tail: tail, size: size, lacksLineFeed: lacksLineFeed))
    }

    /// Returns once the entries are on disk, all of them; after an error none is.
    func append(_ entries: [Entry], after expected: EntryID?) throws(StoreError) {
        guard let last = entries.last else { return }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(entries.reduce(1) { $0 + $1.line.count + 1 })
        for entry in entries {
            bytes.append(contentsOf: entry.line)
            bytes.append(UInt8(ascii: "\n"))
        }
        // Held while the disk works: only appends to this session wait, and they must.
        try state.withLock { state throws(StoreError) in
            if let failure = state.failure { throw failure }
            guard state.tail == expected else {
                throw StoreError(.conflict, "session \(id): the last entry is not the expected one")
            }
            if state.lacksLineFeed { bytes.insert(UInt8(ascii: "\n"), at: 0) }
            try write(bytes, &state)
            state.lacksLineFeed = false
            state.tail = last.id
            state.size += bytes.count
        }
    }

    /// Gives the right to write up, after what is under way.
    func close() {
        state.withLock { state in
            state.failure = StoreError(.conflict, "session \(id) is not open for writing")
            handle.unlock()
        }
    }

    private func write(_ bytes: [UInt8], _ state: inout State) throws(StoreError) {
        do throws(StoreError) {
            try handle.write(bytes, at: state.size)
        } catch {
            // Take back what was written of it, so that the file ends with whole lines.
            do throws(StoreError) {
                try handle.truncate(to: state.size)
            } catch let undoError {
                state.failure = undoError
            }
            throw error
        }
        do throws(StoreError) {
            try handle.synchronize()
        } catch {
            // After a failed sync the kernel may call pages clean that never reached the disk: never sync again, reopen.
            state.failure = error
            throw error
        }
    }
}
