/// Where sessions go that nobody has used for long. An archived session is listed, found and read as before; to be continued it is
/// restored.
public protocol SessionArchive: Sendable {
    /// Moves a session that nobody has open to the archive. An archived one stays as it is.
    func archive(_ id: SessionID) async throws(StoreError)

    /// Brings a session back. One that is not archived stays as it is.
    func restore(_ id: SessionID) async throws(StoreError)

    /// Archives what nobody has added to for so many days, and finishes what a crash has left half done. Only one server does so at
    /// a time: nil where another one does. `progress` hears of each session; with `isTrial` nothing is moved.
    func sweep(
        afterDays days: Int, isTrial: Bool,
        progress: @Sendable (_ done: Int, _ count: Int, SessionID, StoreError?) -> Void
    ) async throws(StoreError) -> Int?
}

/// Where a session's entries are.
public enum SessionTier: String, Sendable {
    case hot, archived
}
