public import TauCore

/// Requests that are sent again: what an attempt before has made is found by the id that it would have.
extension AgentRuntime {
    /// The run that an attempt before has started with this message; nil if none has, or if this is the first.
    ///
    /// Afterwards no other server can start it: the session is this one's. Where a run's record was lost with its server, but its
    /// message was not, the run counts as interrupted.
    public func startedRun(
        by attempt: RequestAttempt?, with content: [ContentBlock], in id: SessionID
    ) async throws(RuntimeError) -> Run? {
        guard let attempt, attempt.isRepeat else { return nil }
        try requireOpen()
        let runID = RunID(unchecked: attempt.id)
        if let run = registry.find(runID) { return run.snapshot }
        return try await withSession(id) { session throws(RuntimeError) in
            let record = try await storing { () throws(StoreError) in try await runs.record(of: runID) }
            if let record { return record.run.sessionID == id ? record.run : nil }
            let prompt = UserMessage(content: content, timestamp: attempt.time)
            guard let entry = session.read({ $0.entry(of: prompt) }) else { return nil }
            let settings = session.read { $0.settings(of: entry) }
            guard let model = settings.model else { return nil }
            var run = Run(
                id: runID, sessionID: id, status: .interrupted, createdAt: attempt.time, model: model, leafID: entry,
                node: environment.node)
            run.finishedAt = environment.now()
            let lost = RunRecord(run: run)
            try await storing { () throws(StoreError) in try await runs.save(lost) }
            return run
        }
    }

    /// The session that an attempt before has made; nil if none has, or if this is the first.
    func madeSession(by attempt: RequestAttempt?) async throws(RuntimeError) -> SessionView? {
        guard let attempt, attempt.isRepeat else { return nil }
        do throws(RuntimeError) {
            return try await session(SessionID(unchecked: attempt.id))
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    func newSessionID(for attempt: RequestAttempt?, at time: Timestamp) -> SessionID {
        attempt.map { SessionID(unchecked: $0.id) } ?? environment.identifiers.sessionID(at: time)
    }
}

extension SessionTree {
    /// The entry of just this message, with its time.
    fileprivate func entry(of prompt: UserMessage) -> EntryID? {
        entries.last { entry in
            guard entry.role == .user, let json = entry.messageJSON else { return false }
            return (try? JSONValue(parsing: json)).flatMap { Message(json: $0) } == .user(prompt)
        }?.id
    }
}
