internal import TauCore

/// What a search looks for and where.
struct GrepRequest: Sendable {
    var pattern: String
    var path: WorkspacePath
    var glob: String?
    var ignoresCase: Bool
    var isLiteral: Bool
    /// Lines before and after each match.
    var context: Int
    /// Matches.
    var limit: Int

    init(_ arguments: JSONObject, _ limits: ToolLimits) throws(ToolFailure) {
        pattern = try arguments.requiredString("pattern")
        guard !pattern.isEmpty, !pattern.utf8.contains(0), !pattern.utf8.contains(UInt8(ascii: "\n")) else {
            throw ToolFailure(.invalidArguments, "The pattern must be one line that is not empty")
        }
        guard pattern.utf8.count <= limits.maxPatternBytes else {
            throw ToolFailure(.invalidArguments, "The pattern is longer than \(limits.maxPatternBytes) bytes")
        }
        path = try WorkspacePath(arguments.optionalString("path") ?? ".")
        glob = try arguments.optionalString("glob")
        if let glob, glob.isEmpty || glob.utf8.contains(0) || glob.utf8.count > limits.maxPatternBytes {
            throw ToolFailure(.invalidArguments, "The glob is empty, too long or contains a NUL character")
        }
        ignoresCase = arguments["ignoreCase"]?.bool ?? false
        isLiteral = arguments["literal"]?.bool ?? false
        context = min(max(0, try arguments.optionalInteger("context") ?? 0), limits.maxSearchContext)
        limit = min(max(1, try arguments.optionalInteger("limit") ?? 100), limits.maxSearchResults)
    }
}
