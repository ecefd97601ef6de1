/// A thing the agent may do.
public protocol Tool: Sendable {
    var definition: ToolDefinition { get }

    /// Does it. The arguments have been validated against the schema.
    ///
    /// A failure that the model should read is thrown; it becomes an error result. Cancelling the task ends the work and
    /// everything that it started, and throws `ToolFailure.aborted`.
    func run(_ invocation: ToolInvocation) async throws(ToolFailure) -> ToolOutput
}

/// What a model and a person are told of a tool.
public struct ToolDefinition: Sendable, Hashable {
    public var name: String
    public var description: String
    /// The arguments' JSON Schema: an object schema.
    public var parameters: JSONValue
    /// Whether calls of this tool make their batch run one after the other.
    public var isSequential: Bool
    /// Whether a call that a crash interrupted may simply be run again.
    public var isRepeatable: Bool

    public init(
        name: String, description: String, parameters: JSONValue, isSequential: Bool = false, isRepeatable: Bool = false
    ) {
        self.name = name
        self.description = description
        self.parameters = parameters
        self.isSequential = isSequential
        self.isRepeatable = isRepeatable
    }
}

/// One call, ready to run.
public struct ToolInvocation: Sendable {
    public var callID: String
    public var arguments: JSONObject
    /// Tells watchers of what there is so far; each report replaces the one before. Reports after the end are ignored.
    public var report: @Sendable (ToolOutput) -> Void

    public init(callID: String, arguments: JSONObject, report: @escaping @Sendable (ToolOutput) -> Void = { _ in }) {
        self.callID = callID
        self.arguments = arguments
        self.report = report
    }
}

/// What a tool answers.
public struct ToolOutput: Sendable, Hashable {
    /// Text and images, for the model.
    public var content: [ContentBlock]
    /// More for programs, never sent to the model.
    public var details: JSONValue?

    public init(content: [ContentBlock], details: JSONValue? = nil) {
        self.content = content
        self.details = details
    }

    public init(text: String, details: JSONValue? = nil) {
        self.init(content: [.text(text)], details: details)
    }
}

extension ToolOutput {
    /// With no more than so many bytes of texts and images; what was left out is said at the end.
    public func bounded(to limit: Int) -> ToolOutput {
        var left = limit
        var bounded = self
        bounded.content = []
        for block in content {
            left -= block.byteCount
            guard left < 0 else {
                bounded.content.append(block)
                continue
            }
            if let text = block.text {
                var kept = Array(text.utf8.prefix(block.byteCount + left))
                // Cut in front of a character.
                let isWithinCharacter = text.utf8.dropFirst(kept.count).first.map { $0 & 0xC0 == 0x80 } ?? false
                while isWithinCharacter, let last = kept.popLast(), last & 0xC0 == 0x80 {}
                bounded.content.append(.text(String(decoding: kept, as: UTF8.self)))
            }
            bounded.content.append(.text("[The result was cut: it may have \(limit) bytes]"))
            break
        }
        return bounded
    }
}

extension ContentBlock {
    fileprivate var byteCount: Int {
        switch self {
        case .text(let block): block.text.utf8.count
        case .image(let block): block.data.utf8.count
        default: 0
        }
    }
}

/// Why a call failed, in words for the model.
public struct ToolFailure: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: String, Sendable {
        case denied, failed, aborted, unavailable
        case invalidArguments = "invalid_arguments"
        case unknownTool = "unknown_tool"
        case timedOut = "timed_out"
        case tooLarge = "too_large"
        /// The session's workspace holds too much. It ends the run: the model had its chance.
        case quotaExceeded = "quota_exceeded"
    }

    public var code: Code
    public var message: String
    public var details: JSONValue?

    public init(_ code: Code, _ message: String, details: JSONValue? = nil) {
        self.code = code
        self.message = message
        self.details = details
    }

    public var description: String { message }

    public static let aborted = ToolFailure(.aborted, "Operation aborted")
}

/// The set of tools that a run may use.
public struct Toolbox: Sendable {
    /// In the order in which models are told of them.
    public let tools: [any Tool]

    public init(tools: [any Tool]) { self.tools = tools }

    public subscript(name: String) -> (any Tool)? {
        tools.first { $0.definition.name.utf8.elementsEqual(name.utf8) }
    }
}

/// Whether a tool may run.
public enum ToolPolicy: String, Sendable, CaseIterable {
    case allow
    /// A person has to approve each call.
    case ask
    case deny
}

/// A tool as the catalogue shows it.
public struct ToolListing: Sendable {
    public var definition: ToolDefinition
    public var policy: ToolPolicy
    /// Why the tool cannot be used on this server; nil if it can.
    public var unavailable: String?
    /// What else a person should know of how it works on this server.
    public var note: String?

    public init(
        definition: ToolDefinition, policy: ToolPolicy, unavailable: String? = nil, note: String? = nil
    ) {
        self.definition = definition
        self.policy = policy
        self.unavailable = unavailable
        self.note = note
    }
}

/// Which tools there are, and the workspaces that they act in.
public protocol ToolCatalog: Sendable {
    var listings: [ToolListing] { get }

    /// The usable tools, acting in the session's workspace, which is made if it does not exist.
    func toolbox(for session: SessionID) async throws(ToolFailure) -> Toolbox

    /// Removes the session's workspace with all that is in it.
    func removeWorkspace(of session: SessionID) async throws(ToolFailure)

    /// Tries what keeps the tools in, and says what is wrong with it; nil if nothing is. It may take a second.
    func problem() async -> String?
}

extension ToolCatalog {
    public func problem() async -> String? { nil }
}
