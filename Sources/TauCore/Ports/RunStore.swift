/// Where runs are remembered, so that a restart does not forget them.
///
/// Records that nobody needs any more are dropped by the store, the oldest ended ones first.
public protocol RunStore: Sendable {
    /// Takes a run's state down, in the order of the calls, without waiting: a power cut may lose the last ones, a crash of the process may not
    /// lose what was taken down before the crash by more than a moment.
    func note(_ record: RunRecord)

    /// The same, for a state that a session's append has carried (`SessionStore.append`).
    func noteCarried(_ record: RunRecord)

    /// Returns once everything that was taken down before outlives a crash of the process.
    func flush() async throws(StoreError)

    /// As `note`, and returns once it is durable.
    func save(_ record: RunRecord) async throws(StoreError)

    func record(of run: RunID) async throws(StoreError) -> RunRecord?

    /// The session's runs, newest first.
    func records(of session: SessionID, limit: Int) async throws(StoreError) -> [RunRecord]

    /// The runs that have not ended, and that nobody works on as far as the store knows. Where servers share the store, each run is
    /// given to one that asks.
    func unfinishedRecords() async throws(StoreError) -> [RunRecord]

    /// The run of each session that has not ended, on whichever server.
    func activeRuns(of sessions: [SessionID]) async throws(StoreError) -> [SessionID: RunID]

    /// Forgets the session's runs.
    func removeRecords(of session: SessionID) async throws(StoreError)
}

extension RunStore {
    /// For stores that keep runs apart from sessions.
    public func noteCarried(_ record: RunRecord) { note(record) }

    /// For stores of one server, which knows its runs itself.
    public func activeRuns(of sessions: [SessionID]) async throws(StoreError) -> [SessionID: RunID] { [:] }
}
