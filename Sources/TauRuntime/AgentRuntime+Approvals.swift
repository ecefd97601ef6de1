internal import Logging
public import TauCore

/// Decisions on tool calls, and runs that outlive their server.
extension AgentRuntime {
    /// Decides on a tool call that waits; returns once the decision is durable. Refused with `conflict` where the call does not wait.
    public func decide(
        _ call: String, of id: RunID, _ decision: ApprovalDecision
    ) async throws(RuntimeError) -> Run {
        guard let run = registry.find(id) else {
            _ = try await snapshot(of: id)
            throw RuntimeError(.conflict, "The run does not wait for a decision on this call.")
        }
        let pending = run.snapshot.pendingApprovals.first { $0.id.utf8.elementsEqual(call.utf8) }
        guard let pending, run.approvals.isOpen(pending.id) else {
            throw RuntimeError(.conflict, "The run does not wait for a decision on this call.")
        }
        run.note(decision, on: pending)
        do throws(StoreError) {
            try await runs.save(run.record)
        } catch {
            run.note(nil, on: pending)
            throw RuntimeError(error)
        }
        guard run.approvals.decide(pending.id, decision) else {
            throw RuntimeError(.conflict, "The run has stopped waiting in this moment.")
        }
        return run.snapshot
    }

    /// Takes up what earlier processes have left: runs that wait for an approval go on waiting, others were interrupted. To be
    /// called once, before anything else is asked of the runtime. A run whose session another process has open is left to that one.
    public func resume() async throws(RuntimeError) {
        let records = try await storing { () throws(StoreError) in try await runs.unfinishedRecords() }
        for record in records {
            do throws(RuntimeError) {
                try await resume(record)
            } catch {
                environment.logger.error(
                    "a run cannot go on", metadata: ["run_id": "\(record.run.id)", "reason": "\(error)"])
                if error.code != .storageUnavailable { interrupt(record) }
            }
        }
    }

    private func resume(_ record: RunRecord) async throws(RuntimeError) {
        let session: LiveSession
        do throws(StoreError) {
            session = try await sessions.enter(record.run.sessionID)
        } catch {
            // Somebody else has it open: that process has the run, too.
            if error.code == .conflict { return }
            // Where runs are shared, this one was given to us, and the session has gone on without it.
            if error.code == .leased { return interrupt(record) }
            throw RuntimeError(error)
        }
        guard let suspension = record.suspension, let answer = session.read({ $0.lastAnswer(at: record.run.leafID) }),
            session.claim(for: record.run.id)
        else {
            await sessions.leave(session)
            return interrupt(record)
        }
        do throws(RuntimeError) {
            try resume(record, suspension, answer, session)
        } catch {
            session.release(record.run.id)
            await sessions.leave(session)
            throw error
        }
    }

    private func resume(
        _ record: RunRecord, _ suspension: RunRecord.Suspension, _ answer: AssistantMessage, _ session: LiveSession
    ) throws(RuntimeError) {
        let selection = ModelSelection(
            model: try resolve(record.run.model), fallbacks: suspension.fallbacks.compactMap(models.model))
        let route = try route(selection, for: session, hasBudget: suspension.maxCost != nil)
        let run = ActiveRun(record, limits: limits)
        try registry.add(run, of: session.owner)
        let context = makeContext(
            run, session, route, offeredTools(session.read { $0.settings(of: $0.leafID) }), suspension.thinkingLevel,
            maxTurns: suspension.maxTurns, maxCost: suspension.maxCost, role: nil)
        do throws(RuntimeError) {
            try submit(context, .calls(answer, suspension))
        } catch {
            registry.finish(run)
            throw error
        }
    }

    private func interrupt(_ record: RunRecord) {
        var run = record.run
        run.status = .interrupted
        run.pendingApprovals = []
        run.finishedAt = environment.now()
        runs.note(RunRecord(run: run))
    }
}

extension SessionTree {
    /// The answer in the given entry, where it is the last message of the session's branch: none of its calls has a result.
    fileprivate func lastAnswer(at entry: EntryID?) -> AssistantMessage? {
        let last = branch(to: leafID).last { if case .message = entries[$0].body { true } else { false } }
        guard let last, entries[last].id == entry,
            let json = entries[last].messageJSON.flatMap({ try? JSONValue(parsing: $0) }),
            case .assistant(let answer)? = Message(json: json)
        else { return nil }
        return answer
    }
}
