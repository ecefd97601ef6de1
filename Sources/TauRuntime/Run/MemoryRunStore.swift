internal import Synchronization
public import TauCore

/// Remembers runs for as long as the process lives: for programs whose runs need not survive it, and for tests.
public final class MemoryRunStore: RunStore {
    private struct State {
        var records: [RunID: RunRecord] = [:]
        /// Ended runs, the oldest first.
        var ended: [RunID] = []
    }

    private let maxRecords: Int
    private let state = Mutex(State())

    /// `maxRecords` bounds the ended runs that are kept.
    public init(maxRecords: Int = 1000) { self.maxRecords = maxRecords }

    public func note(_ record: RunRecord) {
        state.withLock { state in
            let id = record.run.id
            let hadEnded = state.records.updateValue(record, forKey: id)?.run.status.isFinal ?? false
            guard record.run.status.isFinal, !hadEnded else { return }
            state.ended.append(id)
            if state.ended.count > maxRecords { state.records[state.ended.removeFirst()] = nil }
        }
    }

    public func flush() async throws(StoreError) {}

    public func save(_ record: RunRecord) async throws(StoreError) { note(record) }

    public func record(of run: RunID) async throws(StoreError) -> RunRecord? { state.withLock { $0.records[run] } }

    public func records(of session: SessionID, limit: Int) async throws(StoreError) -> [RunRecord] {
        let records = state.withLock { $0.records.values.filter { $0.run.sessionID == session } }
        return Array(records.sorted { $0.run.id.rawValue > $1.run.id.rawValue }.prefix(limit))
    }

    public func unfinishedRecords() async throws(StoreError) -> [RunRecord] {
        state.withLock { $0.records.values.filter { !$0.run.status.isFinal } }
            .sorted { $0.run.id.rawValue < $1.run.id.rawValue }
    }

    public func removeRecords(of session: SessionID) async throws(StoreError) {
        state.withLock { state in
            state.records = state.records.filter { $0.value.run.sessionID != session }
            state.ended.removeAll { state.records[$0] == nil }
        }
    }
}
