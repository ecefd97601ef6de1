internal import Glibc
internal import Synchronization
internal import TauCore
internal import TauSystem

/// How much one workspace may hold, and what was last seen of it.
///
/// Where the kernel does not keep the quota, nothing stops a command in the middle of a write: the workspace is measured
/// while commands run and when they end, and a command that goes too far is ended. How often depends on how long measuring
/// takes.
final class WorkspaceQuota: Sendable {
    private let limits: ToolLimits
    private let state = Mutex(State())

    private struct State {
        /// nil before the first measurement.
        var usage: DiskUsage?
        /// When the next measurement is due, in milliseconds of the monotonic clock.
        var due = 0
    }

    /// Why no more may be written.
    struct Excess: Sendable, Hashable {
        var reason: String
    }

    init(limits: ToolLimits) { self.limits = limits }

    private var bound: DiskUsage { limits.workspaceBound }

    /// What a command may find at its start and leave at its end: one that finds the workspace full may take away, but
    /// not add.
    struct Baseline: Sendable {
        fileprivate var bound: DiskUsage
        /// Files must not be written.
        var isFull: Bool
    }

    /// What is known when a command starts; nothing is measured.
    func baseline() -> Baseline {
        guard let usage = state.withLock({ $0.usage }), !usage.fits(in: bound) else {
            return Baseline(bound: bound, isFull: false)
        }
        return Baseline(
            bound: DiskUsage(bytes: max(bound.bytes, usage.bytes), files: max(bound.files, usage.files)), isFull: true)
    }

    /// Measures the workspace if it is time to, and says what is too much; nil if nothing is. Blocks.
    ///
    /// What `processes` hold open counts, though it has no name. `isStopped` ends the measurement without a result.
    func excess(
        over baseline: Baseline, in workspace: Workspace, processes: () -> [Int32], isStopped: () -> Bool
    ) -> Excess? {
        if let free = try? workspace.root.availableBytes(), free < Int64(limits.minFreeDiskBytes) {
            return Excess(
                reason: """
                    the server's disk has only \(ByteCount.text(Int(free))) left, and \
                    \(ByteCount.text(limits.minFreeDiskBytes)) are kept free
                    """)
        }
        let start = monotonicMilliseconds()
        let isDue = state.withLock { state in
            guard start >= state.due else { return false }
            // Nobody else begins meanwhile.
            state.due = .max
            return true
        }
        guard isDue else { return nil }
        let measured = Result { () throws(SystemError) in
            try measure(workspace, processes, isStopped)
        }
        let end = monotonicMilliseconds()
        let wasStopped = isStopped()
        return state.withLock { state in
            // A tenth of the time at most goes into measuring.
            state.due = end + max(limits.quotaIntervalMilliseconds, 10 * (end - start))
            guard !wasStopped else { return nil }
            let usage: DiskUsage
            switch measured {
            case .success(let measured?): usage = measured
            case .success(nil):
                return Excess(reason: "directories are nested more than \(Directory.maxUsageDepth) levels deep")
            // Whoever could keep it from being measured could fill it.
            case .failure(let error): return Excess(reason: "the workspace cannot be measured: \(error.reason)")
            }
            state.usage = usage
            guard !usage.fits(in: baseline.bound) else { return nil }
            // What is written until the command is dead counts, too.
            state.due = 0
            return excess(usage)
        }
    }

    private func measure(
        _ workspace: Workspace, _ processes: () -> [Int32], _ isStopped: () -> Bool
    ) throws(SystemError) -> DiskUsage? {
        switch workspace.measure {
        case .fileSystem: return try workspace.directory.fileSystemUsage()
        case .project(let project): return try workspace.directory.projectUsage(project).used
        case .walk: break
        }
        // Further than the bound, to see whether a command that clears a full workspace gets on.
        let maxFiles = 2 * limits.maxWorkspaceFiles
        guard let named = try workspace.directory.usage(maxFiles: maxFiles, isStopped: isStopped) else { return nil }
        return try named + namelessUsage(of: processes(), onDevice: workspace.directory.descriptor.status().device)
    }

    private func excess(_ usage: DiskUsage) -> Excess {
        guard usage.bytes > limits.maxWorkspaceBytes else {
            return Excess(reason: "the workspace may hold \(limits.maxWorkspaceFiles) files")
        }
        return Excess(reason: "the workspace may hold \(ByteCount.text(limits.maxWorkspaceBytes))")
    }

    /// Throws if the workspace may not take so many bytes more, in one more file. Blocks.
    func admit(bytes: Int, in workspace: Workspace) throws(ToolFailure) {
        let baseline = Baseline(bound: bound, isFull: false)
        var problem = excess(over: baseline, in: workspace, processes: { [] }, isStopped: { false })
        var isAdmitted = problem == nil && add(bytes: bytes)
        if problem == nil, !isAdmitted {
            // Files that were replaced since the last measurement have been counted twice.
            state.withLock { $0.due = 0 }
            problem = excess(over: baseline, in: workspace, processes: { [] }, isStopped: { false })
            isAdmitted = problem == nil && add(bytes: bytes)
        }
        guard isAdmitted else {
            let reason = problem?.reason ?? excess(DiskUsage(bytes: .max)).reason
            throw ToolFailure(.tooLarge, "Nothing was written: \(reason). Remove what is not needed first")
        }
    }

    /// False if that is too much.
    private func add(bytes: Int) -> Bool {
        state.withLock { state in
            guard let usage = state.usage else { return true }
            let with = usage + DiskUsage(bytes: Int64(bytes), files: 1)
            guard with.fits(in: bound) else { return false }
            state.usage = with
            return true
        }
    }
}

/// The quotas of all workspaces. What was measured is kept as long as there is room; a forgotten one is measured again.
final class WorkspaceQuotas: Sendable {
    private let limits: ToolLimits
    private let quotas = Mutex<[SessionID: WorkspaceQuota]>([:])

    init(limits: ToolLimits) { self.limits = limits }

    subscript(session: SessionID) -> WorkspaceQuota {
        quotas.withLock { quotas in
            if let quota = quotas[session] { return quota }
            if quotas.count >= limits.maxRememberedQuotas { quotas.removeAll() }
            let quota = WorkspaceQuota(limits: limits)
            quotas[session] = quota
            return quota
        }
    }

    func forget(_ session: SessionID) { quotas.withLock { $0[session] = nil } }
}
