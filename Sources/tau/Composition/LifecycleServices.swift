internal import ServiceLifecycle
internal import TauRuntime
internal import TauSystem
internal import UnixSignals

/// Ends the server when what it was started for is done.
struct StopService: Service {
    let stop: @Sendable () async -> Void

    func run() async { await stop() }
}

/// Refuses new work as soon as the shutdown begins. It stands last, so it is stopped first.
struct DrainService: Service {
    let runtime: AgentRuntime

    func run() async throws {
        try await gracefulShutdown()
        runtime.drain()
        ServiceManager()?.notify("STOPPING=1")
    }
}

/// Stops at once when it is told to stop a second time: runs are left interrupted, with all that they have done written.
struct ImpatienceService: Service {
    /// The second signal.
    struct Impatience: Error {}

    let signals: [UnixSignal]

    func run() async throws {
        let sequence = await UnixSignalsSequence(trapping: signals)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                var count = 0
                for await _ in sequence {
                    count += 1
                    if count > 1 { throw Impatience() }
                }
            }
            group.addTask { try? await gracefulShutdown() }
            try await group.next()
            group.cancelAll()
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
