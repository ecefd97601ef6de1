/// The other servers on the same store: what they ask of this one, and what this one asks of them.
public protocol PeerServers: Sendable {
    /// Hands each request to `handle`, one after the other, until the task is cancelled.
    func serve(_ handle: @escaping @Sendable (PeerRequest) async -> Void) async

    /// Asks the server that works on the run to stop it; returns once that has been asked. Nothing happens where none does.
    func cancel(_ run: RunID) async throws(StoreError)
}

/// What this server is asked to do because of another one.
public enum PeerRequest: Sendable, Equatable {
    /// Another server wants to work on the session: to be closed, if nothing is at work on it here.
    case release(SessionID)
    /// Another server has taken the session over: what is known of it here is out of date.
    case forget(SessionID)
    /// Somebody has asked another server to stop this run.
    case cancel(RunID)
    /// A server may have died: its runs are to be taken up.
    case takeUpRuns
}
