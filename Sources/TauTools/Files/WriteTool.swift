internal import TauCore

/// Makes a file or replaces its content.
struct WriteTool: Tool {
    let workspace: Workspace

    var definition: ToolDefinition { Self.definition }

    static let definition = ToolDefinition(
        name: "write",
        description: """
            Write a file. It is made if it does not exist, with the directories on its way, and replaced if it does.
            """,
        parameters: .arguments(
            [
                "path": .argument("string", "Path of the file, relative to the workspace"),
                "content": .argument("string", "The whole content of the file"),
            ], required: ["path", "content"]))

    func run(_ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput {
        let path = try WorkspacePath(invocation.arguments.requiredString("path"))
        let content = Array(try invocation.arguments.requiredString("content").utf8)
        let workspace = workspace
        try await workspace.change { () throws(ToolFailure) in try workspace.write(path, content) }
        return ToolOutput(text: "Wrote \(content.count) bytes to \(path.text)")
    }
}
