internal import Logging
public import ServiceLifecycle
internal import TauCore

/// Owns the task of every run. A run belongs to its session, not to the connection that asked for it.
///
/// On a graceful shutdown runs at work may finish; when the service group's patience ends they are cancelled, which
/// leaves them `interrupted`.
public final class RunSupervisor: Service {
    struct Job: Sendable {
        var context: RunContext
        var prompt: UserMessage
        var entries: [Entry]
        /// Gives session and registry back.
        var finish: @Sendable (StoreError?) async -> Void
    }

    private let jobs: AsyncStream<Job>
    private let continuation: AsyncStream<Job>.Continuation

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
                    group.addTask { await Self.perform(job) }
                }
            }
        } onGracefulShutdown: {
            self.continuation.finish()
        }
    }

    private static func perform(_ job: Job) async {
        let run = job.context.run
        run.update { run in
            run.status = .running
            run.startedAt = job.context.environment.now()
        }
        run.publishState()
        let result = await loopUntilCancelled(job)
        run.close()
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
        // The session is free before the client hears the end, so that its next message is not refused.
        await job.finish(storeFailure)
        run.publishState()
        run.journal.close()
    }

    /// The loop beside a task that waits for the cancel request: whichever ends first ends the other.
    private static func loopUntilCancelled(_ job: Job) async -> Result<AgentLoop.Outcome, StoreError> {
        await withTaskGroup(of: Result<AgentLoop.Outcome, StoreError>?.self) { group in
            group.addTask {
                do throws(StoreError) {
                    return .success(
                        try await AgentLoop(context: job.context).run(prompt: job.prompt, entries: job.entries))
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                await job.context.run.cancellation.wait()
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
