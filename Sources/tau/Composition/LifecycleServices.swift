internal import ServiceLifecycle
internal import TauRuntime
internal import TauSystem
internal import UnixSignals

/// Ends the server when what it was started for is done.
struct StopService: Service {
    let stop: @Sendable () async -> Void

    func run() async { await stop() }
}

/// Refuses new work as soon as the shutdown begins, and lets runs finish. It stands last, so it is stopped first: the server still
/// answers meanwhile, and every stream is told how its run ended.
struct DrainService: Service {
    let runtime: AgentRuntime
    /// How long runs may finish.
    let patience: Duration

    func run() async throws {
        try await gracefulShutdown()
        runtime.drain()
        ServiceManager()?.notify("STOPPING=1")
        await runtime.supervisor.drain(for: patience)
    }
}

/// Does not wait for runs any longer when the server is told to stop a second time.
struct ImpatienceService: Service {
    let signals: [UnixSignal]
    let runtime: AgentRuntime

    func run() async {
        await cancelWhenGracefulShutdown {
            var count = 0
            for await _ in await UnixSignalsSequence(trapping: signals) {
                count += 1
                if count > 1 { runtime.supervisor.interrupt() }
            }
        }
    }
}

/// Tells systemd that the server is alive, as often as it wants to hear it: from where all work is done, so that it is not if that hangs.
struct WatchdogService: Service {
    let manager: ServiceManager
    let microseconds: Int

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                while !Task.isCancelled {
                    manager.notify("WATCHDOG=1")
                    try await Task.sleep(for: .microseconds(microseconds / 3))
                }
            }
            group.addTask { try? await gracefulShutdown() }
            try await group.next()
            group.cancelAll()
        }
    }
}
