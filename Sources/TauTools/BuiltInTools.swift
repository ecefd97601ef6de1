internal import Glibc
package import TauCore
package import TauSystem

/// The tools that Tau brings along: `read`, `bash`, `edit`, `write`, `grep`, `find` and `ls`, in a workspace for each session.
package struct BuiltInTools: ToolCatalog {
    package let listings: [ToolListing]
    /// What does not confine commands as it should on this server; nil if all does.
    package let weakness: String?

    private let configuration: ToolsConfiguration
    private let root: WorkspaceRoot
    private let protected: ProtectedNames.Matcher
    private let sandbox: SandboxStatus
    private let selfTest: SandboxSelfTest
    private let quotas: WorkspaceQuotas
    private let commandSlots: FairQueue<SessionID>
    private let threads: BlockingThreads
    private let usesRipgrep: Bool

    /// Makes the directory of the workspaces and tries the sandbox, which takes some ten milliseconds. Without a
    /// working sandbox there is no `bash`, and its listing says why.
    ///
    /// File work runs on `threads`. Throws `unavailable` if the directory cannot be used, or the tools' user is root.
    package static func make(
        configuration: ToolsConfiguration, threads: BlockingThreads
    ) async throws(ToolFailure) -> BuiltInTools {
        try await make(configuration: configuration, threads: threads, sandboxPrograms: nil, usesRipgrep: true)
    }

    /// `sandboxPrograms` are the places where bubblewrap may be; without ripgrep the server searches itself.
    static func make(
        configuration: ToolsConfiguration, threads: BlockingThreads, sandboxPrograms: [String]?, usesRipgrep: Bool
    ) async throws(ToolFailure) -> BuiltInTools {
        guard configuration.toolUserID != 0, configuration.toolGroupID != 0 else {
            throw ToolFailure(.unavailable, "The tools must not run as root")
        }
        let identity = configuration.toolIdentity
        let root: WorkspaceRoot
        do throws(SystemError) {
            root = try await threads.run { () throws(SystemError) in
                try WorkspaceRoot(
                    path: configuration.workspaceRoot, owner: identity, volume: configuration.limits.workspaceVolume,
                    bound: configuration.limits.workspaceBound)
            }
        } catch {
            throw ToolFailure(.unavailable, "The workspace directory cannot be used: \(error)")
        }
        let selfTest = SandboxSelfTest(
            root: root, configuration: configuration, threads: threads, programs: sandboxPrograms)
        return BuiltInTools(
            configuration: configuration, root: root, selfTest: selfTest, sandbox: await selfTest.run(),
            threads: threads, usesRipgrep: usesRipgrep)
    }

    private init(
        configuration: ToolsConfiguration, root: WorkspaceRoot, selfTest: SandboxSelfTest, sandbox: SandboxStatus,
        threads: BlockingThreads, usesRipgrep: Bool
    ) {
        self.configuration = configuration
        self.root = root
        self.selfTest = selfTest
        self.sandbox = sandbox
        self.threads = threads
        self.usesRipgrep = usesRipgrep
        protected = ProtectedNames.Matcher(configuration.protectedNames)
        let limits = configuration.limits
        quotas = WorkspaceQuotas(limits: limits)
        commandSlots = FairQueue(
            places: limits.maxConcurrentCommands, maxWaiting: limits.maxQueuedCommands - limits.maxConcurrentCommands)
        weakness = if case .ready(let sandbox) = sandbox { sandbox.note } else { nil }
        let notes = [weakness, root.quotaNote].compactMap(\.self)
        let note = notes.isEmpty ? nil : notes.joined(separator: "; ")
        listings = [
            ToolListing(definition: ReadTool.definition(limits), policy: configuration.policy(of: "read")),
            ToolListing(
                definition: BashTool.definition(limits), policy: configuration.policy(of: "bash"),
                unavailable: sandbox.problem, note: note),
            ToolListing(definition: EditTool.definition, policy: configuration.policy(of: "edit")),
            ToolListing(definition: WriteTool.definition, policy: configuration.policy(of: "write")),
            ToolListing(definition: GrepTool.definition(limits), policy: configuration.policy(of: "grep")),
            ToolListing(definition: FindTool.definition, policy: configuration.policy(of: "find")),
            ToolListing(definition: ListTool.definition, policy: configuration.policy(of: "ls")),
        ]
    }

    package func toolbox(for session: SessionID) async throws(ToolFailure) -> Toolbox {
        let name = try Self.directoryName(session)
        let workspace: Workspace
        do throws(SystemError) {
            workspace = try await Workspace.open(
                name, in: root, limits: configuration.limits, protected: protected, quota: quotas[session],
                threads: threads)
        } catch {
            throw ToolFailure(.unavailable, "The workspace cannot be used: \(error.reason)")
        }
        var tools: [any Tool] = [ReadTool(workspace: workspace, scaler: scaler(workspace, session))]
        if case .ready(let sandbox) = sandbox {
            tools.append(BashTool(workspace: workspace, sandbox: sandbox, session: session, slots: commandSlots))
        }
        tools += [
            EditTool(workspace: workspace), WriteTool(workspace: workspace),
            GrepTool(workspace: workspace, ripgrep: ripgrep(workspace, session)), FindTool(workspace: workspace),
            ListTool(workspace: workspace),
        ]
        return Toolbox(tools: tools.filter { configuration.policy(of: $0.definition.name) != .deny })
    }

    private func scaler(_ workspace: Workspace, _ session: SessionID) -> ImageScaler? {
        guard ImageScaler.isInstalled, case .ready(let sandbox) = sandbox, sandbox.bubblewrap != nil else { return nil }
        return ImageScaler(workspace: workspace, sandbox: sandbox, session: session, slots: commandSlots)
    }

    private func ripgrep(_ workspace: Workspace, _ session: SessionID) -> Ripgrep? {
        guard usesRipgrep, case .ready(let sandbox) = sandbox, sandbox.bubblewrap != nil,
            let program = Ripgrep.installed
        else { return nil }
        return Ripgrep(
            program: program, workspace: workspace, sandbox: sandbox, session: session, slots: commandSlots)
    }

    /// Tries the sandbox again. Where it did not work at the start, commands stay off until the next one.
    package func problem() async -> String? {
        if let problem = sandbox.problem { return problem }
        return await selfTest.run().problem
    }

    package func removeWorkspace(of session: SessionID) async throws(ToolFailure) {
        let name = try Self.directoryName(session)
        quotas.forget(session)
        do throws(SystemError) {
            try await threads.run { [root] () throws(SystemError) in try root.remove(name) }
        } catch {
            throw ToolFailure(.failed, "The workspace could not be removed: \(error.reason)")
        }
    }

    /// Ids that came unchecked from a foreign file may hold anything, and then are nobody's workspace.
    private static func directoryName(_ session: SessionID) throws(ToolFailure) -> String {
        guard SessionID(session.rawValue) != nil else {
            throw ToolFailure(.invalidArguments, "The session's id cannot name a workspace")
        }
        return session.rawValue
    }
}

extension ToolsConfiguration {
    func policy(of tool: String) -> ToolPolicy { policies[tool] ?? .allow }

    /// Whom commands run as; nil where they can only be the server's own user.
    var toolIdentity: ChildRequest.Identity? {
        geteuid() == 0 ? .init(userID: toolUserID, groupID: toolGroupID) : nil
    }
}
