internal import Glibc
internal import TauCore
internal import TauSystem

/// Searches files for lines that match a pattern: with ripgrep in the sandbox where there is both, and in the server
/// otherwise.
struct GrepTool: Tool {
    let workspace: Workspace
    /// nil: the server searches itself.
    let ripgrep: Ripgrep?

    var definition: ToolDefinition { Self.definition(workspace.limits) }

    static func definition(_ limits: ToolLimits) -> ToolDefinition {
        ToolDefinition(
            name: "grep",
            description: """
                Search files for a pattern. Answers matching lines with path and line number. Leaves out what .gitignore \
                files name. At most 100 matches or \(ByteCount.text(limits.maxBytes)), whichever comes first; lines are \
                cut at \(limits.maxSearchLineCharacters) characters.
                """,
            parameters: .arguments(
                [
                    "pattern": .argument("string", "Regular expression, or with literal a text"),
                    "path": .argument("string", "Directory or file to search (default: the workspace)"),
                    "glob": .argument("string", "Only files that match this, such as '*.swift' or 'src/**/*.js'"),
                    "ignoreCase": .argument("boolean", "Do not tell upper from lower case (default: false)"),
                    "literal": .argument("boolean", "The pattern is a text and not an expression (default: false)"),
                    "context": .argument("number", "Lines to show before and after each match (default: 0)"),
                    "limit": .argument("number", "Matches at most (default: 100)"),
                ], required: ["pattern"]),
            isRepeatable: true)
    }

    func run(_ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput {
        let limits = workspace.limits
        let request = try GrepRequest(invocation.arguments, limits)
        // Also refuses a wrong expression, in the same words whoever searches.
        let pattern = try LinearPattern(
            request.isLiteral ? request.pattern : UnicodeClasses.written(in: request.pattern),
            isLiteral: request.isLiteral, ignoresCase: request.ignoresCase, of: .lines)
        let workspace = workspace
        let place = try await workspace.perform { () throws(ToolFailure) in try workspace.searchPlace(request.path) }
        if let ripgrep, let answer = try await ripgrep.search(request, place) {
            return answer.hits.answer(limits: limits, isComplete: answer.isComplete)
        }
        let search = FileSearch(workspace: workspace, request: request, pattern: pattern)
        let answer = try await search.run(place)
        return answer.hits.answer(limits: limits, isComplete: answer.isComplete)
    }
}

/// Where a search begins.
enum SearchPlace: Sendable {
    case directory(Directory, components: [[UInt8]])
    case file(WorkspacePath)
}

extension Workspace {
    /// Opens what a path names, for searching. Blocks.
    func searchPlace(_ path: WorkspacePath) throws(ToolFailure) -> SearchPlace {
        let found: Directory
        do throws(SystemError) {
            found = try directory.openDirectory(path.bytes, links: .followedBeneath)
        } catch {
            guard error.code == ENOTDIR else { throw ToolFailure(error, path: path) }
            try checkFile(path)
            return .file(path)
        }
        try checkOpened(found.descriptor, path)
        guard let components = components(of: found.descriptor) else {
            throw ToolFailure(SystemError(call: "search", code: EXDEV), path: path)
        }
        return .directory(found, components: components)
    }
}

/// What a search found, and whether it came to its end by itself.
struct SearchResult: Sendable {
    var hits: SearchHits
    var isComplete: Bool
}
