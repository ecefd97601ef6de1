internal import TauCore
internal import TauSystem

/// Lists a directory.
struct ListTool: Tool {
    let workspace: Workspace

    var definition: ToolDefinition { Self.definition }

    static let definition = ToolDefinition(
        name: "ls",
        description: """
            List a directory: names in alphabetical order, also those with a dot, directories with a slash behind them. At \
            most 500 entries.
            """,
        parameters: .arguments(
            [
                "path": .argument("string", "Directory (default: the workspace)"),
                "limit": .argument("number", "Entries at most (default: 500)"),
            ], required: []),
        isRepeatable: true)

    func run(_ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput {
        let limits = workspace.limits
        let path = try WorkspacePath(invocation.arguments.optionalString("path") ?? ".")
        let limit = min(max(1, try invocation.arguments.optionalInteger("limit") ?? 500), limits.maxSearchResults)
        let workspace = workspace
        return try await workspace.perform { () throws(ToolFailure) in
            guard case .directory(let directory, _) = try workspace.searchPlace(path) else {
                throw ToolFailure(.failed, "Not a directory: \(path.text)")
            }
            let lines: [[UInt8]]
            do throws(SystemError) {
                lines = try Self.lines(of: directory, limit: limits.maxSearchEntries)
            } catch {
                throw ToolFailure(error, path: path)
            }
            guard !lines.isEmpty else { return ToolOutput(text: "(empty directory)") }
            var answer = NotedLines(Array(lines.prefix(limit)))
            if lines.count > limit { answer.noteLimit(limit, of: "entries", detail: "entryLimitReached") }
            return answer.output(limits)
        }
    }

    /// In the order of the names without regard to case.
    private static func lines(of directory: Directory, limit: Int) throws(SystemError) -> [[UInt8]] {
        var lines: [(key: String, line: [UInt8])] = []
        for entry in try directory.entries(limit: limit) {
            // What cannot be looked at is left out; a link is shown as what it is and not as its target.
            guard let kind = entry.kind ?? (try? directory.status(of: entry.name).kind) else { continue }
            let name = CleanText.clean(entry.name)
            let key = String(decoding: name, as: UTF8.self).lowercased()
            lines.append((key, kind == .directory ? name + [UInt8(ascii: "/")] : name))
        }
        return lines.sorted { ($0.key, $0.line.count) < ($1.key, $1.line.count) }.map(\.line)
    }
}
