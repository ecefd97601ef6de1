internal import TauCore

/// Replaces texts in a file.
struct EditTool: Tool {
    let workspace: Workspace

    var definition: ToolDefinition { Self.definition }

    static let definition = ToolDefinition(
        name: "edit",
        description: """
            Replace texts in one file. Each oldText must occur exactly once in the file and is looked for in the file \
            as it was before the call; the places must not overlap. Put changes that lie close together into one \
            replacement, and keep oldText as short as it can be while it occurs only once.
            """,
        parameters: .arguments(
            [
                "path": .argument("string", "Path of the file, relative to the workspace"),
                "edits": [
                    "type": "array",
                    "description": "The replacements",
                    "items": .arguments(replacement, required: ["oldText", "newText"]),
                ],
                "oldText": .argument("string", "For one replacement alone: the text to replace"),
                "newText": .argument("string", "For one replacement alone: the text to put there"),
            ], required: ["path"]))

    private static let replacement: JSONValue = [
        "oldText": .argument("string", "The text to replace, exactly as it stands in the file"),
        "newText": .argument("string", "The text to put there"),
    ]

    func run(_ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput {
        let path = try WorkspacePath(invocation.arguments.requiredString("path"))
        let replacements = try Self.replacements(in: invocation.arguments, limit: workspace.limits.maxEdits)
        let workspace = workspace
        let edited = try await workspace.change { () throws(ToolFailure) in
            let old = try workspace.read(path, limit: workspace.limits.maxReadBytes)
            let edited = try EditedText(old.bytes, replacements, path: path.text)
            try workspace.write(path, edited.bytes, replacing: old.status)
            return edited
        }
        return ToolOutput(
            text: "Replaced \(replacements.count) \(replacements.count == 1 ? "text" : "texts") in \(path.text)",
            details: details(edited.diff))
    }

    private func details(_ diff: LineDiff) -> JSONValue {
        let limits = workspace.limits
        let shown = Truncation.head(Array(diff.text.utf8), maxLines: limits.maxLines, maxBytes: limits.maxBytes)
        return [
            "diff": .string(shown.isTruncated ? shown.content + "\n..." : shown.content),
            "firstChangedLine": diff.firstChangedLine.map(JSONValue.integer) ?? .null,
        ]
    }

    /// From `edits`, from a single `oldText` and `newText`, or both. Some models send `edits` as a string of JSON.
    private static func replacements(
        in arguments: JSONObject, limit: Int
    ) throws(ToolFailure) -> [EditedText.Replacement] {
        var objects: [JSONObject] = []
        if let edits = arguments["edits"], !edits.isNull {
            let value = edits.string.flatMap { try? JSONValue(parsing: $0) } ?? edits
            guard let array = value.array else {
                throw ToolFailure(.invalidArguments, "The argument 'edits' must be an array")
            }
            guard array.count <= limit else {
                throw ToolFailure(.invalidArguments, "At most \(limit) replacements can be made in one call")
            }
            for element in array {
                guard let object = element.object else {
                    throw ToolFailure(.invalidArguments, "Each element of 'edits' must be an object")
                }
                objects.append(object)
            }
        }
        if arguments["oldText"] != nil || objects.isEmpty { objects.append(arguments) }
        var replacements: [EditedText.Replacement] = []
        for object in objects {
            let old = try object.requiredString("oldText")
            let new = try object.requiredString("newText")
            guard !old.isEmpty else { throw ToolFailure(.invalidArguments, "oldText must not be empty") }
            replacements.append(.init(old: Array(old.utf8), new: Array(new.utf8)))
        }
        return replacements
    }
}
