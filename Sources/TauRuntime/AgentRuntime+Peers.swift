internal import Logging
public import ServiceLifecycle
internal import TauCore

/// Work that several servers on one store share.
extension AgentRuntime {
    func handle(_ request: PeerRequest) async {
        switch request {
        case .release(let session): await sessions.closeIfIdle(session)
        case .forget(let session): await sessions.discard(session)
        case .cancel(let run): registry.find(run)?.cancellation.raise()
        case .takeUpRuns:
            guard !isDraining else { return }
            do throws(RuntimeError) {
                try await resume()
            } catch {
                environment.logger.warning(
                    "the runs of other servers could not be looked at", metadata: ["reason": "\(error)"])
            }
        }
    }

    /// The run that is at work on each of the sessions, on whichever server.
    func activeRuns(of ids: [SessionID]) async throws(RuntimeError) -> [SessionID: RunID] {
        var active: [SessionID: RunID] = [:]
        if peers != nil {
            active = try await storing { () throws(StoreError) in try await runs.activeRuns(of: ids) }
        }
        for id in ids {
            // What this server knows is newer than what is stored.
            guard let latest = registry.runs(of: id).first else { continue }
            active[id] = latest.snapshot.status.isFinal ? active[id].flatMap { $0 == latest.id ? nil : $0 } : latest.id
        }
        return active
    }

    /// Whether another server may want the right to write the session, which need not be taken from it only to read.
    func isReadFromStore(_ id: SessionID) async -> Bool {
        guard peers != nil else { return false }
        return await !sessions.isOpen(id)
    }

    /// The session as it is now, without taking the right to write it where another server may want that.
    func withReading<Value: Sendable>(
        _ id: SessionID, _ body: (LiveSession) throws(RuntimeError) -> Value
    ) async throws(RuntimeError) -> Value {
        guard await isReadFromStore(id) else {
            return try await withSession(id) { session throws(RuntimeError) in try body(session) }
        }
        let file = try await storing { () throws(StoreError) in try await store.read(id) }
        return try body(LiveSession(file: file, store: store, environment: environment))
    }
}

/// Does what other servers ask for. It ends with the last run: until then others may want to cancel it.
public struct PeerService: Service {
    let runtime: AgentRuntime

    public init(_ runtime: AgentRuntime) { self.runtime = runtime }

    public func run() async throws {
        guard let peers = runtime.peers else {
            try? await gracefulShutdown()
            return
        }
        await cancelWhenGracefulShutdown { await peers.serve { await runtime.handle($0) } }
    }
}
