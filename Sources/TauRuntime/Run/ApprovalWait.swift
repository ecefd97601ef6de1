internal import Logging
internal import TauCore

/// Waits for people's decisions on tool calls, durably: a server that stops or dies meanwhile goes on waiting when it is back.
struct ApprovalWait {
    let context: RunContext
    let calls: [ToolCall]
    let turns: Int

    /// A decision on each of the calls: what is not decided in time is denied. Nil: the server stops.
    func decisions(resumed: RunRecord.Suspension?) async throws(StoreError) -> [String: ApprovalDecision]? {
        let run = context.run
        let now = context.environment.now()
        let limit = Int64(context.limits.approvalSeconds) * 1000
        // The events below are counted before they are told: a state that was told is one that is remembered. Every stream begins with
        // the run's state, also one that goes on after a restart.
        let eventCount = calls.count + (resumed == nil ? 1 : 2)
        let suspension = RunRecord.Suspension(
            expiresAt: resumed?.expiresAt ?? Timestamp(milliseconds: now.milliseconds + limit),
            lastEvent: run.journal.lastNumber + eventCount, turns: turns, maxTurns: context.maxTurns,
            maxCost: context.maxCost, thinkingLevel: context.thinkingLevel,
            fallbacks: context.route.fallbacks.map(\.model.reference))
        run.approvals.begin(calls, decisions: resumed?.decisions ?? [:])
        run.beginWaiting(calls, suspension)
        try await context.runs.save(run.record)
        if resumed != nil { run.publishState() }
        for call in calls { context.publish(.approvalRequired(call)) }
        run.publishState()

        let left = suspension.expiresAt.milliseconds - now.milliseconds
        let outcome = await run.approvals.wait(
            atMost: .milliseconds(max(0, left)), clock: context.environment.clock
        ) { run.publishState() }
        switch outcome {
        case .suspended: return nil
        case .cancelled:
            // A cancelled task is one that somebody cancelled, or a server that stops without more patience.
            guard run.cancellation.isRaised else { return nil }
            return try await goOn(with: [:])
        case .decided(let decisions): return try await goOn(with: decisions)
        case .expired(var decisions):
            context.logger.notice("nobody decided on a tool call in time")
            for call in calls where decisions[call.id] == nil {
                try await context.audit("approval.expire", call, outcome: "deny")
                decisions[call.id] = ApprovalDecision(isApproved: false, reason: "nobody decided in time")
            }
            return try await goOn(with: decisions)
        }
    }

    /// The run is known to be at work again before the first call is: a call that a crash interrupts is never taken for one
    /// that still waits.
    private func goOn(with decisions: [String: ApprovalDecision]) async throws(StoreError) -> [String: ApprovalDecision]
    {
        context.run.endWaiting()
        try await context.runs.save(context.run.record)
        context.run.publishState()
        return decisions
    }
}
