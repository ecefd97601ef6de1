public import TauCore

/// Sessions between the tiers.
extension AgentRuntime {
    /// Moves a session to the archive. Refused with `runInProgress` while anybody works on it.
    public func archiveSession(_ id: SessionID) async throws(RuntimeError) -> SessionView {
        try await move(id) { archive throws(StoreError) in try await archive.archive(id) }
    }

    /// Brings a session back. One that is not archived stays as it is.
    public func restoreSession(_ id: SessionID) async throws(RuntimeError) -> SessionView {
        try await move(id) { archive throws(StoreError) in try await archive.restore(id) }
    }

    private func move(
        _ id: SessionID, _ body: @Sendable (any SessionArchive) async throws(StoreError) -> Void
    ) async throws(RuntimeError) -> SessionView {
        try requireOpen()
        guard let archive else {
            // What does not exist is not told apart from what cannot be archived.
            _ = try await session(id)
            throw RuntimeError(.conflict, "This server has no archive. Configure one with archive.url.")
        }
        try await storing { () throws(StoreError) in
            try await sessions.withClosed(id) { () throws(StoreError) in try await body(archive) }
        }
        return try await session(id)
    }
}
