internal import Synchronization
internal import TauCore

/// The one writer of one open session file: what is in it, and where the next append goes.
///
/// Its calls are made by the journal, one after the other.
final class SessionWriter: Sendable {
    private struct State {
        /// The last entry that has its place.
        var tail: EntryID?
        /// Bytes up to the end of that entry.
        var size: Int
        /// An imported file keeps its last byte, until something is appended.
        var lacksLineFeed: Bool
        /// Whether the journal has records of this file.
        var isJournaled = false
        /// Set by an error after which the file's state is unknown; the session must be opened again.
        var failure: StoreError?
    }

    let id: SessionID
    let handle: FileHandle
    private let state: Mutex<State>

    init(id: SessionID, handle: FileHandle, size: Int, tail: EntryID?, lacksLineFeed: Bool = false) {
        self.id = id
        self.handle = handle
        state = Mutex(State(tail: tail, size: size, lacksLineFeed: lacksLineFeed))
    }

    var size: Int { state.withLock { $0.size } }

    // MARK: Placing

    /// An append that has its place in the file, and what it needs to be taken back.
    struct PlacedAppend {
        var offset: Int
        /// Whether its bytes begin with the line feed that the file lacks.
        var needsLineFeed: Bool
        fileprivate var previousTail: EntryID?
    }

    /// Gives entries the place behind the last one; nil where there are none.
    func place(_ entries: [Entry], after expected: EntryID?) throws(StoreError) -> PlacedAppend? {
        try state.withLock { state throws(StoreError) in
            if let failure = state.failure { throw failure }
            guard let last = entries.last else { return nil }
            guard state.tail == expected else {
                throw StoreError(.conflict, "session \(id): the last entry is not the expected one")
            }
            let place = PlacedAppend(
                offset: state.size, needsLineFeed: state.lacksLineFeed, previousTail: state.tail)
            state.tail = last.id
            state.lacksLineFeed = false
            return place
        }
    }

    /// The bytes that were placed last are so many.
    func occupy(_ count: Int) { state.withLock { $0.size += count } }

    /// Undoes the last `place`.
    func takeBack(_ place: PlacedAppend) {
        state.withLock { state in
            state.size = place.offset
            state.tail = place.previousTail
            state.lacksLineFeed = place.needsLineFeed
        }
    }

    static func encode(_ entries: [Entry], into bytes: inout [UInt8]) {
        for entry in entries {
            bytes.append(contentsOf: entry.line)
            bytes.append(UInt8(ascii: "\n"))
        }
    }

    // MARK: States

    var isJournaled: Bool { state.withLock { $0.isJournaled } }

    /// False if the journal had records of it already.
    func beginJournaling() -> Bool {
        state.withLock { state in
            defer { state.isJournaled = true }
            return !state.isJournaled
        }
    }

    func endJournaling() { state.withLock { $0.isJournaled = false } }

    /// Nothing is appended any more until the session is opened again.
    func fail(_ error: StoreError) {
        state.withLock { state in
            state.failure = state.failure ?? error
            state.isJournaled = false
        }
    }

    func refuseAppends() {
        state.withLock { state in
            state.failure = StoreError(.conflict, "session \(id) is not open for writing")
        }
    }
}
