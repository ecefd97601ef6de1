internal import TauCore

extension SessionFile {
    /// Reads what a store has under an id. Throws `corrupt` for what is no session, or another one.
    init(stored content: [UInt8], as id: SessionID, _ limits: Limits) throws(StoreError) {
        do throws(EntryError) {
            try self.init(parsing: content, limits: limits)
        } catch {
            throw StoreError(.corrupt, "session \(id) cannot be read: \(error.reason)")
        }
        try check(id)
    }

    /// The same on several processors.
    static func stored(_ content: [UInt8], as id: SessionID, _ limits: Limits) async throws(StoreError) -> SessionFile {
        let file: SessionFile
        do throws(EntryError) {
            file = try await parsing(content, limits: limits)
        } catch {
            throw StoreError(.corrupt, "session \(id) cannot be read: \(error.reason)")
        }
        try file.check(id)
        return file
    }

    private func check(_ id: SessionID) throws(StoreError) {
        // Under a wrong name it would be listed by an id that opens nothing, or another session.
        guard header.id == id else {
            throw StoreError(.corrupt, "session \(id) cannot be read: its header names session \(header.id)")
        }
    }
}
