public import TauCore

/// Whose things are whose. Whoever asks for somebody else's hears what everybody hears of what does not exist.
extension AgentRuntime {
    /// Throws `notFound` unless the session is the owner's.
    public func requireSession(_ id: SessionID, of owner: Owner) async throws(RuntimeError) {
        var known = await sessions.knownOwner(of: id)
        if known == nil { known = try await storing { () throws(StoreError) in try await store.owner(of: id) } }
        guard known == owner else { throw RuntimeError(.notFound, "There is no such session.") }
    }

    /// Throws `notFound` unless the run is one of the owner's sessions.
    public func requireRun(_ id: RunID, of owner: Owner) async throws(RuntimeError) {
        let missing = RuntimeError(.notFound, "There is no such run.")
        var session = registry.find(id)?.sessionID
        if session == nil {
            session = try await storing { () throws(StoreError) in try await runs.record(of: id) }?.run.sessionID
        }
        guard let session else { throw missing }
        do throws(RuntimeError) {
            try await requireSession(session, of: owner)
        } catch {
            throw error.code == .notFound ? missing : error
        }
    }

    /// What is left of an owner's sessions after `deleteSessions`.
    public struct Erasure: Sendable, Equatable {
        /// Sessions that are gone, with their entries, runs, workspaces, archives and contexts.
        public var deletedSessions = 0
        /// Sessions that could not be deleted, or not wholly, and why.
        public var failures: [RuntimeError.Detail] = []
    }

    /// Stops the owner's runs and deletes all sessions of theirs, also those that are made meanwhile.
    public func deleteSessions(of owner: Owner) async throws(RuntimeError) -> Erasure {
        var erasure = Erasure()
        var failed: Set<SessionID> = []
        while !Task.isCancelled {
            var query = SessionQuery(owner: owner, order: .createdAt, limit: 200)
            var left: [SessionID] = []
            repeat {
                let page = try await storing { () throws(StoreError) in try await store.list(query) }
                left += page.sessions.map(\.id).filter { !failed.contains($0) }
                query.cursor = page.nextCursor
            } while left.isEmpty && query.cursor != nil
            guard !left.isEmpty else { break }
            // Those of other servers end there.
            for run in try await activeRuns(of: left).values { _ = try await cancel(run) }
            for id in left {
                do throws(RuntimeError) {
                    try await deleteSession(id)
                    erasure.deletedSessions += 1
                } catch {
                    guard error.code != .notFound else { continue }
                    failed.insert(id)
                    erasure.failures.append(.init(path: id.rawValue, message: error.message))
                }
            }
        }
        return erasure
    }
}
