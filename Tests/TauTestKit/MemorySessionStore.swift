import Synchronization
public import TauCore

/// A session store in memory, for tests of what stands above a store. It can be told to fail.
public final class MemorySessionStore: SessionStore {
    private struct State {
        var files: [SessionID: SessionFile] = [:]
        var owners: [SessionID: Owner] = [:]
        var open: Set<SessionID> = []
        var failure: StoreError?
        var unreadable: [SessionID: StoreError] = [:]
        var beforeAppend: (@Sendable () async -> Void)?
        var appendCount = 0
        var carried: [(entry: EntryID?, run: RunRecord)] = []
    }

    private let state = Mutex(State())

    public init() {}

    /// Makes reading a session fail.
    public func failReads(of id: SessionID, with error: StoreError?) { state.withLock { $0.unreadable[id] = error } }

    /// Every later append fails with this; nil makes appends work again.
    public func failAppends(with error: StoreError?) { state.withLock { $0.failure = error } }

    /// What every later append waits for; nil for nothing.
    public func waitBeforeAppends(_ body: (@Sendable () async -> Void)?) { state.withLock { $0.beforeAppend = body } }

    /// Calls of `append` so far.
    public var appendCount: Int { state.withLock { $0.appendCount } }

    /// The states of runs that appends have brought, each with the entry that it came with.
    public var carriedRuns: [(entry: EntryID?, run: RunRecord)] { state.withLock { $0.carried } }

    /// Whether somebody has the right to write it.
    public func isOpen(_ id: SessionID) -> Bool { state.withLock { $0.open.contains(id) } }

    public func entries(of id: SessionID) -> [Entry] { state.withLock { $0.files[id]?.entries ?? [] } }

    public func create(_ file: SessionFile, owner: Owner) async throws(StoreError) {
        try state.withLock { state throws(StoreError) in
            guard state.files[file.header.id] == nil else { throw StoreError(.exists, "exists") }
            state.files[file.header.id] = file
            state.owners[file.header.id] = owner
            state.open.insert(file.header.id)
        }
    }

    public func owner(of id: SessionID) async throws(StoreError) -> Owner? { state.withLock { $0.owners[id] } }

    public func open(_ id: SessionID) async throws(StoreError) -> SessionFile {
        try state.withLock { state throws(StoreError) in
            guard let file = state.files[id] else { throw StoreError(.notFound, "no such session") }
            guard state.open.insert(id).inserted else { throw StoreError(.conflict, "open") }
            return file
        }
    }

    public func read(_ id: SessionID) async throws(StoreError) -> SessionFile {
        try state.withLock { state throws(StoreError) in
            if let failure = state.unreadable[id] { throw failure }
            guard let file = state.files[id] else { throw StoreError(.notFound, "no such session") }
            return file
        }
    }

    public func append(
        _ entries: [Entry], to id: SessionID, after expected: EntryID?, runs: [RunRecord]
    ) async throws(StoreError) {
        // Others get their turn, as with a real disk.
        await Task.yield()
        await state.withLock { $0.beforeAppend }?()
        try state.withLock { state throws(StoreError) in
            state.appendCount += 1
            if let failure = state.failure { throw failure }
            guard let file = state.files[id], state.open.contains(id) else { throw StoreError(.conflict, "not open") }
            guard file.entries.last?.id == expected else { throw StoreError(.conflict, "unexpected leaf") }
            state.files[id] = SessionFile(header: file.header, entries: file.entries + entries)
            state.carried += runs.map { (entries.last?.id, $0) }
        }
    }

    public func close(_ id: SessionID) async { state.withLock { _ = $0.open.remove(id) } }

    public func delete(_ id: SessionID) async throws(StoreError) {
        try state.withLock { state throws(StoreError) in
            guard state.files.removeValue(forKey: id) != nil else { throw StoreError(.notFound, "no such session") }
            state.open.remove(id)
            state.owners[id] = nil
        }
    }

    public func export(_ id: SessionID) async throws(StoreError) -> SessionExport {
        let bytes = try state.withLock { state throws(StoreError) in
            guard let file = state.files[id] else { throw StoreError(.notFound, "no such session") }
            return file.bytes
        }
        return SessionExport(byteCount: bytes.count) { offset throws(StoreError) in bytes[offset...] }
    }

    public func list(_ query: SessionQuery) async throws(StoreError) -> SessionPage {
        state.withLock { state in
            let sessions = state.files.values.map { file in
                var summary = SessionTree(file).summary
                summary.owner = state.owners[file.header.id] ?? .local
                return summary
            }
            return SessionPage(
                sessions: sessions.filter { query.owner == nil || $0.owner == query.owner }, nextCursor: nil)
        }
    }

    public func checkHealth() async throws(StoreError) {}
}
