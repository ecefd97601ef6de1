public import TauCore
internal import TauSystem
internal import TauTools

/// The tools that an agent can use.
public struct AgentTools: Sendable {
    let catalog: any ToolCatalog

    /// A catalogue of one's own.
    public init(catalog: any ToolCatalog) { self.catalog = catalog }

    public static let none = AgentTools.own([])

    /// Tools of one's own. Calls of those that are named in `asking` wait for an approval.
    public static func own(_ tools: [any Tool], asking: Set<String> = []) -> AgentTools {
        AgentTools(catalog: OwnTools(tools: tools, asking: asking))
    }

    /// Tau's own tools, each session in a workspace below `workspaces`, and others beside them.
    public static func builtIn(
        workspaces: String, and tools: [any Tool] = [], asking: Set<String> = []
    ) async throws -> AgentTools {
        var configuration = ToolsConfiguration(workspaceRoot: workspaces)
        for name in asking { configuration.policies[name] = .ask }
        let builtIn = try await BuiltInTools.make(configuration: configuration, threads: BlockingThreads(count: 8))
        return AgentTools(catalog: JoinedTools(first: builtIn, second: OwnTools(tools: tools, asking: asking)))
    }
}

private struct OwnTools: ToolCatalog {
    let tools: [any Tool]
    let asking: Set<String>

    var listings: [ToolListing] {
        tools.map { tool in
            let name = tool.definition.name
            return ToolListing(definition: tool.definition, policy: asking.contains(name) ? .ask : .allow)
        }
    }

    func toolbox(for session: SessionID) async throws(ToolFailure) -> Toolbox { Toolbox(tools: tools) }
    func removeWorkspace(of session: SessionID) async throws(ToolFailure) {}
}

private struct JoinedTools: ToolCatalog {
    let first: any ToolCatalog
    let second: any ToolCatalog

    var listings: [ToolListing] { first.listings + second.listings }

    func toolbox(for session: SessionID) async throws(ToolFailure) -> Toolbox {
        let tools = try await first.toolbox(for: session).tools
        return Toolbox(tools: tools + (try await second.toolbox(for: session)).tools)
    }

    func problem() async -> String? {
        if let problem = await first.problem() { return problem }
        return await second.problem()
    }

    func removeWorkspace(of session: SessionID) async throws(ToolFailure) {
        try await first.removeWorkspace(of: session)
        try await second.removeWorkspace(of: session)
    }
}
