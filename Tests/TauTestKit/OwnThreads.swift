import TauSystem
public import Testing

/// Runs each test of a suite on threads of its own, away from those that Swift's tasks share.
///
/// For tests that wait for processes, files and locks in calls that block: on the shared threads, of which there is one for
/// each processor, two such tests would keep all others waiting, and for ever if they wait for one of those.
public struct OwnThreads: SuiteTrait, TestTrait, TestScoping {
    public var isRecursive: Bool { true }

    public func provideScope(
        for test: Test, testCase: Test.Case?, performing body: @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(ThreadsExecutor.shared) { try await body() }
    }
}

extension Trait where Self == OwnThreads {
    /// The suite's tests may block.
    public static var ownThreads: OwnThreads { OwnThreads() }
}

private final class ThreadsExecutor: TaskExecutor {
    static let shared = ThreadsExecutor()

    /// More than tests run at once.
    private let threads = BlockingThreads(count: 64)

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        threads.submit { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
