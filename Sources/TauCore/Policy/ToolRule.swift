/// What becomes of tool calls that fit, before the policy of the tool itself is asked.
public struct ToolRule: Sendable, Hashable {
    public var tool: String
    /// The argument that `pattern` is for; nil for every call of the tool.
    public var argument: String?
    /// A text in which `*` stands for any characters and `?` for one; the whole argument must be like it.
    public var pattern: String?
    /// Only for callers of this role; nil for all.
    public var role: Role?
    public var policy: ToolPolicy

    public init(tool: String, argument: String? = nil, pattern: String? = nil, role: Role? = nil, policy: ToolPolicy) {
        self.tool = tool
        self.argument = argument
        self.pattern = pattern
        self.role = role
        self.policy = policy
    }

    /// Whether the rule is for this call. Who asks is not known of a run that a restart has interrupted: then rules that let something
    /// through for a role are for nobody, and those that hold something back are for everybody.
    func fits(_ call: ToolCall, role caller: Role?) -> Bool {
        guard tool == "*" || tool.hasSameBytes(as: call.name) else { return false }
        if let role, let caller, role != caller { return false }
        if role != nil, caller == nil, policy == .allow { return false }
        guard let argument else { return true }
        guard let text = call.arguments[argument]?.string else { return false }
        let value = argument == "path" ? Self.normalized(path: text) : text
        // A command that begins well may go on otherwise: what lets it through must not be more than one command.
        if policy == .allow, argument == "command", value.utf8.contains(where: Self.endsCommand) { return false }
        return Self.matches(Array(value.unicodeScalars), Array((pattern ?? "*").unicodeScalars))
    }

    /// Characters with which a shell begins another command, or writes where it likes.
    private static func endsCommand(_ byte: UInt8) -> Bool { ";|&$`<>\n\r(){}\\".utf8.contains(byte) }

    /// The path below the workspace that is meant, without detours.
    private static func normalized(path: String) -> String {
        var parts: [Substring] = []
        var path = path[...]
        if path.hasPrefix("/workspace/") { path = path.dropFirst("/workspace/".count) }
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return parts.joined(separator: "/")
    }

    /// In time that is the product of both lengths at the most.
    private static func matches(_ text: [Unicode.Scalar], _ pattern: [Unicode.Scalar]) -> Bool {
        var (place, position) = (0, 0)
        var star: (pattern: Int, text: Int)?
        while place < text.count {
            if position < pattern.count, pattern[position] == "*" {
                star = (position, place)
                position += 1
            } else if position < pattern.count, pattern[position] == "?" || pattern[position] == text[place] {
                position += 1
                place += 1
            } else if let last = star {
                star = (last.pattern, last.text + 1)
                position = last.pattern + 1
                place = last.text + 1
            } else {
                return false
            }
        }
        return pattern[position...].allSatisfy { $0 == "*" }
    }
}

extension [ToolRule] {
    /// The first rule that fits decides; where none does, the tool's own policy.
    public func policy(of call: ToolCall, role: Role?, otherwise policy: ToolPolicy) -> ToolPolicy {
        first { $0.fits(call, role: role) }?.policy ?? policy
    }
}
