internal import Logging
public import ServiceLifecycle
internal import Synchronization
internal import TauCore
internal import Tracing

/// Owns the task of every run. A run belongs to its session, not to the connection that asked for it.
///
/// Before it is stopped it is to be drained: runs at work may finish for a while, and those that have not are interrupted. Cancelling
/// its service interrupts them at once.
public final class RunSupervisor: Service {
    struct Job: Sendable {
        var context: RunContext
        var gates: ModelGates
        var start: AgentLoop.Start
        /// Gives session and registry back.
        var finish: @Sendable (StoreError?) async -> Void
    }

    private let jobs: AsyncStream<Job>
    private let continuation: AsyncStream<Job>.Continuation
    private let working = Mutex(Working())

    private struct Working {
        var runs: [RunID: ActiveRun] = [:]
        var isStopping = false
        /// Raised when there are no runs any more; nil where nobody waits for that.
        var idle: OnceSignal?
    }

    /// Interrupts all runs, also those that are yet to begin.
    private let interruption = OnceSignal()

    init(maxWaiting: Int) {
        (jobs, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(maxWaiting))
    }

    /// Hands a run over; false if the supervisor has stopped.
    func submit(_ job: Job) -> Bool {
        if case .enqueued = continuation.yield(job) { true } else { false }
    }

    public func run() async {
        await withGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                for await job in jobs {
                    group.addTask { await self.perform(job) }
                }
            }
        } onGracefulShutdown: {
            self.continuation.finish()
            self.suspendWaiting()
        }
    }

    // MARK: Stopping

    private func enter(_ run: ActiveRun) {
        let isStopping = working.withLock { working in
            working.runs[run.id] = run
            return working.isStopping
        }
        if isStopping { run.approvals.suspend() }
    }

    private func leave(_ run: ActiveRun) {
        let idle = working.withLock { working -> OnceSignal? in
            working.runs[run.id] = nil
            guard working.runs.isEmpty else { return nil }
            defer { working.idle = nil }
            return working.idle
        }
        idle?.raise()
    }

    /// Lets runs finish for so long, then interrupts them; returns when none is at work. Runs that wait for a person stop waiting, which the
    /// next server goes on with. No run may be handed over any more.
    public func drain(for patience: Duration) async {
        suspendWaiting()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.waitUntilIdle() }
            group.addTask {
                // A cancelled sleep ends early, because nothing is left to wait for.
                try? await Task.sleep(for: patience)
            }
            await group.next()
            group.cancelAll()
        }
        interrupt()
        await waitUntilIdle()
    }

    /// Ends all runs at their next safe point, as `interrupted`.
    public func interrupt() { interruption.raise() }

    private func waitUntilIdle() async {
        let idle = working.withLock { working -> OnceSignal? in
            guard !working.runs.isEmpty else { return nil }
            let idle = working.idle ?? OnceSignal()
            working.idle = idle
            return idle
        }
        await idle?.wait()
    }

    /// Whoever waits for a person, now or later, stops waiting: the next server goes on with it.
    private func suspendWaiting() {
        let runs = working.withLock { working in
            working.isStopping = true
            return Array(working.runs.values)
        }
        for run in runs { run.approvals.suspend() }
    }

    // MARK: One run

    private func perform(_ job: Job) async {
        await traced("invoke_agent tau", in: job.context.origin) { span in
            let (run, session) = (job.context.run, job.context.session)
            if span.isRecording {
                span.add([
                    .name(SpanName.operation, "invoke_agent"), .name(SpanName.agent, "tau"),
                    .text(SpanName.conversation, session.id.rawValue),
                    .name(SpanName.requestModel, job.context.route.model.reference.id),
                    .name(SpanName.run, run.id.rawValue),
                    .text(SpanName.user, "\(session.owner.tenantID)/\(session.owner.userID)"),
                ])
            }
            await work(job)
            guard span.isRecording else { return }
            let state = run.record.run
            span.add([
                .name("tau.run.status", state.status.rawValue),
                .integer(SpanName.inputTokens, state.usage.input + state.usage.cacheRead + state.usage.cacheWrite),
                .integer(SpanName.outputTokens, state.usage.output),
            ])
            if let failure = state.failure {
                span.add([.name(SpanName.errorType, failure.code)])
                span.setStatus(SpanStatus(code: .error, message: failure.message))
            }
        }
    }

    private func work(_ job: Job) async {
        let run = job.context.run
        enter(run)
        defer { leave(run) }
        // A run that goes on after a restart still waits.
        if case .message = job.start {
            run.update { run in
                run.status = .running
                run.startedAt = job.context.environment.now()
            }
            run.publishState()
        }
        let result = await loopUntilCancelled(job)
        if case .success(.suspended) = result {
            await job.finish(nil)
            return run.journal.close()
        }
        run.close()
        if case .success(.completed) = result, run.takeEnd() { return await Self.finish(job, nil) }
        var storeFailure: StoreError?
        run.update { state in
            state.finishedAt = job.context.environment.now()
            switch result {
            case .success(.completed): state.status = .completed
            case .success(.failed): state.status = .failed
            case .success(.turnLimit):
                state.status = .failed
                state.failure = Run.Failure(
                    code: "turn_limit", message: "The run reached its limit of \(job.context.maxTurns) turns.")
            case .success(.costLimit):
                let limit = JSONWriter.javaScriptNumber(job.context.maxCost ?? 0)
                state.status = .failed
                state.failure = Run.Failure(
                    code: "cost_limit", message: "The run's limit of $\(limit) does not suffice for another model call."
                )
            case .success(.suspended): break
            case .success(.cancelled): state.status = run.cancellation.isRaised ? .cancelled : .interrupted
            case .failure(let error):
                state.status = .failed
                state.failure = Run.Failure(code: "storage_unavailable", message: error.message)
                storeFailure = error
            }
        }
        if let storeFailure {
            job.context.logger.error(
                "run failed: its session cannot be written", metadata: ["reason": "\(storeFailure)"])
        }
        job.context.runs.note(run.record)
        await Self.finish(job, storeFailure)
    }

    private static func finish(_ job: Job, _ failure: StoreError?) async {
        Measurements.runs.add(1, job.context.run.record.run.status.rawValue)
        // The session is free before the client hears the end, so that its next message is not refused.
        await job.finish(failure)
        job.context.run.publishState()
        job.context.run.journal.close()
    }

    /// The loop beside a task that waits for the cancel request: whichever ends first ends the other.
    private func loopUntilCancelled(_ job: Job) async -> Result<AgentLoop.Outcome, StoreError> {
        await withTaskGroup(of: Result<AgentLoop.Outcome, StoreError>?.self) { group in
            group.addTask {
                do throws(StoreError) {
                    var loop = AgentLoop(context: job.context, gates: job.gates)
                    return .success(try await loop.run(from: job.start))
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                await job.context.run.cancellation.wait()
                return nil
            }
            group.addTask { [interruption] in
                await interruption.wait()
                return nil
            }
            var result: Result<AgentLoop.Outcome, StoreError> = .success(.cancelled)
            for await outcome in group {
                if let outcome { result = outcome }
                group.cancelAll()
            }
            return result
        }
    }
}
