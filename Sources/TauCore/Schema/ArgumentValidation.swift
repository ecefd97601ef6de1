/// A call's arguments after they were checked against the tool's schema.
public struct ArgumentValidation: Sendable {
    /// What is wrong at one place.
    public struct Problem: Sendable, Equatable {
        /// Keys and indexes from the root, joined by dots; `arguments` for the root itself.
        public var path: String
        public var message: String
    }

    /// As the tool gets them; if there are problems, as they came.
    public var arguments: JSONObject
    public var problems: [Problem]

    /// What the model is told: every problem with its place, and what arrived.
    public static func failure(tool: String, problems: [Problem], received: JSONObject) -> ToolFailure {
        let lines = problems.map { "  - \($0.path): \($0.message)" }.joined(separator: "\n")
        return ToolFailure(
            .invalidArguments,
            "Validation failed for tool \"\(tool)\":\n\(lines)\n\nReceived arguments:\n\(JSONValue.object(received).text)"
        )
    }
}
