internal import Synchronization
internal import TauCore
internal import TauSystem

/// Finds files by their names.
struct FindTool: Tool {
    let workspace: Workspace

    var definition: ToolDefinition { Self.definition }

    static let definition = ToolDefinition(
        name: "find",
        description: """
            Find files and directories by a glob pattern. Answers paths relative to the searched directory; directories \
            end with a slash. Leaves out what .gitignore files name. At most 1000 results.
            """,
        parameters: .arguments(
            [
                "pattern": .argument(
                    "string", "Glob of the name, such as '*.swift', or with slashes of the path: 'src/**/*_test.py'"),
                "path": .argument("string", "Directory to search (default: the workspace)"),
                "limit": .argument("number", "Results at most (default: 1000)"),
            ], required: ["pattern"]),
        isRepeatable: true)

    private final class State: Sendable {
        let paths = Mutex<[[UInt8]]>([])
        let stop = StopFlag()
    }

    func run(_ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput {
        let limits = workspace.limits
        let text = try invocation.arguments.requiredString("pattern")
        guard !text.isEmpty, !text.utf8.contains(0), text.utf8.count <= limits.maxPatternBytes else {
            throw ToolFailure(.invalidArguments, "The pattern is empty, too long or contains a NUL character")
        }
        let path = try WorkspacePath(invocation.arguments.optionalString("path") ?? ".")
        let limit = min(max(1, try invocation.arguments.optionalInteger("limit") ?? 1000), limits.maxSearchResults)
        let filter = NameFilter(Array(text.utf8))
        let (workspace, state) = (workspace, State())
        let isComplete = try await workspace.perform(stoppedBy: state.stop) { () throws(ToolFailure) in
            try Self.find(filter, path, workspace, limit: limit, state)
        }
        return Self.answer(state.paths.withLock { $0 }, limit: limit, isComplete: isComplete, limits)
    }

    /// False if the walk was ended by its own bounds.
    private static func find(
        _ filter: NameFilter, _ path: WorkspacePath, _ workspace: Workspace, limit: Int, _ state: State
    ) throws(ToolFailure) -> Bool {
        guard case .directory(let directory, let components) = try workspace.searchPlace(path) else {
            throw ToolFailure(.failed, "\(path.text) is not a directory")
        }
        let walk = WorkspaceWalk(workspace: workspace, limits: workspace.limits, stop: state.stop)
        let isComplete = walk.run(from: directory, components: components) { item in
            guard filter.admits(item) else { return }
            let path = item.relativePath + (item.isDirectory ? [UInt8(ascii: "/")] : [])
            // One more than wanted tells whether there is more.
            let isFull = state.paths.withLock { paths in
                if paths.count <= limit { paths.append(path) }
                return paths.count > limit
            }
            if isFull { state.stop.set() }
        }
        return isComplete || state.stop.isSet
    }

    private static func answer(
        _ found: [[UInt8]], limit: Int, isComplete: Bool, _ limits: ToolLimits
    ) -> ToolOutput {
        guard !found.isEmpty else { return ToolOutput(text: "No files found matching pattern") }
        let paths = found.prefix(limit).sorted { $0.lexicographicallyPrecedes($1) }.map { CleanText.clean($0) }
        var answer = NotedLines(paths)
        if found.count > limit { answer.noteLimit(limit, of: "results", detail: "resultLimitReached") }
        return answer.output(limits, isComplete: isComplete)
    }
}

/// The pattern of `find`: of the name, or of the path if it has a slash. A pattern without upper case letters does not tell
/// them from lower case ones.
struct NameFilter: Sendable {
    private let pattern: GlobPattern
    private let isOfPath: Bool

    init(_ text: [UInt8]) {
        let hasUpperCase = text.contains { (0x41...0x5A).contains($0) }
        isOfPath = text.contains(UInt8(ascii: "/"))
        pattern = GlobPattern(
            text.first == UInt8(ascii: "/") ? text.dropFirst() : text[...], ignoresCase: !hasUpperCase)
    }

    func admits(_ item: WorkspaceWalk.Item) -> Bool { pattern.matches(isOfPath ? item.relativePath : item.name) }
}
