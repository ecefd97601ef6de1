/// The arguments of a tool of one's own, with their JSON Schema beside them.
public protocol ToolArguments: Decodable, Sendable {
    /// An object schema; see `ArgumentSchema` for what it may use.
    static var schema: JSONValue { get }
}

/// A tool that gets its arguments as a type of its own.
///
/// They have been checked against the schema before they are read; what the schema lets through and the type does not
/// is told to the model like any other wrong argument.
public protocol TypedTool: Tool {
    associatedtype Arguments: ToolArguments

    /// Does it; see `Tool.run`.
    func run(_ arguments: Arguments, _ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput
}

extension TypedTool {
    public func run(_ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput {
        let arguments: Arguments
        do {
            arguments = try JSONValue.object(invocation.arguments).decode()
        } catch {
            throw ArgumentValidation.failure(
                tool: definition.name, problems: [ArgumentValidation.Problem(error)], received: invocation.arguments)
        }
        return try await run(arguments, invocation)
    }
}

extension ToolDefinition {
    /// With the schema of the arguments' type.
    public init(
        name: String, description: String, arguments: (some ToolArguments).Type, isSequential: Bool = false,
        isRepeatable: Bool = false
    ) {
        self.init(
            name: name, description: description, parameters: arguments.schema, isSequential: isSequential,
            isRepeatable: isRepeatable)
    }
}

extension ArgumentValidation.Problem {
    fileprivate init(_ error: any Error) {
        let context: DecodingError.Context? =
            switch error as? DecodingError {
            case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context),
                .dataCorrupted(let context):
                context
            default: nil
            }
        let path = context?.codingPath.map(\.stringValue).joined(separator: ".") ?? ""
        self.init(path: path.isEmpty ? "arguments" : path, message: context?.debugDescription ?? "cannot be read")
    }
}
