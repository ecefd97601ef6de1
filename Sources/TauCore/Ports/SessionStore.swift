/// Where sessions live. Every call that returns has reached the disk, or the committed database.
///
/// A store holds the right to write a session from `open` or `create` until `close`; a second owner gets `conflict`.
public protocol SessionStore: Sendable {
    /// Makes a session of a whole file's content, which must have been checked (`SessionFile`); keeps its bytes as they are.
    func create(_ file: SessionFile, owner: Owner) async throws(StoreError)

    /// To whom the session belongs, from the moment on in which there is such a session. Nil or anybody where there is none.
    func owner(of id: SessionID) async throws(StoreError) -> Owner?

    /// Takes the right to write, repairs a torn tail, and reads everything.
    func open(_ id: SessionID) async throws(StoreError) -> SessionFile

    /// Reads everything as it is now, without the right to write.
    func read(_ id: SessionID) async throws(StoreError) -> SessionFile

    /// What a model is sent at a leaf, nil being the session's own, read without the right to write. Nil where there is no such entry.
    func context(of id: SessionID, leaf: EntryID?) async throws(StoreError) -> ModelContext?

    /// Adds entries behind the last one, in order, all or none. `expected` names the entry that must be the last one now.
    ///
    /// `runs` are the states of runs that the entries bring about. A store that keeps runs beside its sessions makes both durable at
    /// once; any other leaves them to its `RunStore`, which is told of them afterwards (`noteCarried`).
    func append(
        _ entries: [Entry], to id: SessionID, after expected: EntryID?, runs: [RunRecord]
    ) async throws(StoreError)

    /// Gives the right to write back.
    func close(_ id: SessionID) async

    func delete(_ id: SessionID) async throws(StoreError)

    /// The session file, byte for byte as stored.
    func export(_ id: SessionID) async throws(StoreError) -> SessionExport

    /// One page of sessions, newest first, behind the cursor of the page before.
    func list(_ query: SessionQuery) async throws(StoreError) -> SessionPage

    /// What the list says of one session, as it is now.
    func summary(of id: SessionID) async throws(StoreError) -> SessionSummary

    /// Whether the store can be written to now; throws what is wrong.
    func checkHealth() async throws(StoreError)
}

extension SessionStore {
    /// Entries that change no run's state.
    public func append(_ entries: [Entry], to id: SessionID, after expected: EntryID?) async throws(StoreError) {
        try await append(entries, to: id, after: expected, runs: [])
    }

    /// A session of the one who runs the process.
    public func create(_ file: SessionFile) async throws(StoreError) { try await create(file, owner: .local) }

    /// For stores of one user.
    public func owner(of id: SessionID) async throws(StoreError) -> Owner? { .local }

    /// Reads the whole session.
    public func summary(of id: SessionID) async throws(StoreError) -> SessionSummary {
        var summary = SessionTree(try await read(id)).summary
        summary.owner = try await owner(of: id) ?? .local
        return summary
    }

    /// Reads the whole session.
    public func context(of id: SessionID, leaf: EntryID?) async throws(StoreError) -> ModelContext? {
        SessionTree(try await read(id)).context(at: leaf)
    }
}

extension SessionTree {
    /// The context at an entry, nil being the leaf; nil where there is no such entry.
    public func context(at entry: EntryID?) -> ModelContext? {
        guard let entry else { return context(of: leafID) }
        return contains(entry) ? context(of: entry) : nil
    }
}

/// A session file on its way out, as it was at the time of the call, to be read in pieces.
public struct SessionExport: Sendable {
    /// Bytes of the whole file.
    public let byteCount: Int
    private let piece: @Sendable (Int) async throws(StoreError) -> ArraySlice<UInt8>

    /// `piece` answers what begins at an offset below `byteCount`, at least one byte and not more than there are.
    public init(byteCount: Int, piece: @escaping @Sendable (Int) async throws(StoreError) -> ArraySlice<UInt8>) {
        self.byteCount = byteCount
        self.piece = piece
    }

    /// The piece that begins at an offset; nil behind the last one.
    public func piece(at offset: Int) async throws(StoreError) -> ArraySlice<UInt8>? {
        offset < byteCount ? try await piece(offset) : nil
    }

    /// Everything at once.
    public func bytes() async throws(StoreError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(byteCount)
        while let piece = try await piece(at: bytes.count) { bytes += piece }
        return bytes
    }
}

public struct SessionQuery: Sendable {
    public enum Order: String, Sendable { case updatedAt, createdAt }

    /// Whose sessions; nil for everybody's.
    public var owner: Owner?
    /// Words that the name or the messages must hold.
    public var search: String?
    public var order: Order
    /// The `nextCursor` of the page before.
    public var cursor: String?
    public var limit: Int

    public init(
        owner: Owner? = nil, search: String? = nil, order: Order = .updatedAt, cursor: String? = nil, limit: Int = 50
    ) {
        self.owner = owner
        self.search = search
        self.order = order
        self.cursor = cursor
        self.limit = limit
    }
}

public struct SessionPage: Sendable {
    public var sessions: [SessionSummary]
    public var nextCursor: String?

    public init(sessions: [SessionSummary], nextCursor: String?) {
        self.sessions = sessions
        self.nextCursor = nextCursor
    }
}

/// What a list shows of a session, without its entries.
public struct SessionSummary: Sendable, Equatable {
    public var id: SessionID
    public var owner = Owner.local
    public var name: String?
    public var createdAt: Timestamp
    public var updatedAt: Timestamp
    public var leafID: EntryID?
    public var entryCount: Int
    public var model: ModelReference?
    public var thinkingLevel: String
    public var usage: Usage
    public var metadata: JSONObject
    public var tier = SessionTier.hot

    public init(
        id: SessionID, name: String?, createdAt: Timestamp, updatedAt: Timestamp, leafID: EntryID?, entryCount: Int,
        model: ModelReference?, thinkingLevel: String, usage: Usage, metadata: JSONObject
    ) {
        self.id = id
        self.name = name
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.leafID = leafID
        self.entryCount = entryCount
        self.model = model
        self.thinkingLevel = thinkingLevel
        self.usage = usage
        self.metadata = metadata
    }
}

public struct StoreError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable {
        case notFound
        /// Somebody else writes this session, or the leaf is not the expected one.
        case conflict
        /// Another server works on the session.
        case leased
        /// The session exists already.
        case exists
        /// What is stored is no session.
        case corrupt
        /// No space, or an I/O error; nothing was acknowledged.
        case unavailable
        /// A page cursor that this store did not give out.
        case badCursor
    }

    public var code: Code
    /// What callers may read; it names no path outside the data directory, and no host.
    public var message: String
    /// What only logs and administrators may read.
    public var detail: String?

    public init(_ code: Code, _ message: String, detail: String? = nil) {
        self.code = code
        self.message = message
        self.detail = detail
    }

    /// With the detail.
    public var description: String { detail.map { "\(message): \($0)" } ?? message }
}
