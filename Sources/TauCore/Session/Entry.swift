/// One line of a session: a node of its tree. The line is kept byte for byte; everything else is read off it.
public struct Entry: Sendable {
    public let id: EntryID
    /// The entry that this one follows; nil for a root.
    public let parentID: EntryID?
    /// Nil where the line has none that can be read.
    public let timestamp: Timestamp?
    public let body: EntryBody
    /// The exact JSON text, without its line feed.
    public let line: ArraySlice<UInt8>
}

/// What an entry says, by its `type`.
public enum EntryBody: Sendable {
    case message(StoredMessage)
    case thinkingLevelChange(String)
    /// `isAutomatic`: Tau chose it, not the user.
    case modelChange(ModelReference, isAutomatic: Bool)
    case activeToolsChange([String])
    indirect case compaction(Compaction)
    indirect case branchSummary(BranchSummary)
    indirect case customMessage(CustomMessage)
    /// Data of an extension, never sent to a model.
    case custom(type: String)
    indirect case label(target: EntryID, label: String?)
    case sessionInfo(name: String?)
    /// Moves the leaf; nil is the place before the first entry.
    case leaf(target: EntryID?)
    indirect case contextEdit(ContextEdit)
    /// Tokens that no message accounts for.
    indirect case usage(Usage)
    /// A type that this version does not know; it takes part in the tree and in nothing else.
    case other(type: String)
}

/// Who speaks in a stored message.
public enum MessageRole: String, Sendable {
    case system, user, assistant, toolResult, bashExecution, custom, branchSummary, compactionSummary
    /// A role that this version does not know; such messages are not sent to models.
    case other
}

/// Where a message lies in its entry's line, and what is known of it without reading it whole.
public struct StoredMessage: Sendable {
    public var role: MessageRole
    /// The message's own time; nil if it has none.
    public var timestamp: Timestamp?
    /// Offsets from the line's start.
    var jsonStart: Int32
    var jsonEnd: Int32
    var usageStart: Int32
    var usageEnd: Int32
}

/// A summary that stands for the entries before it.
public struct Compaction: Sendable {
    public var summary: String
    /// The first entry that stays in the context before the compaction. Nil, an unknown id or the compaction's own id: none does.
    public var firstKeptEntryID: EntryID?
    public var tokensBefore: Int
    /// The whole prompt at this point, as a message.
    public var systemMessage: JSONValue?
    /// Messages that the compaction carries along itself, instead of `firstKeptEntryID`.
    public var retainedTail: [JSONValue]?
    public var details: JSONValue?
    public var usage: Usage?

    public init(
        summary: String, firstKeptEntryID: EntryID?, tokensBefore: Int, systemMessage: JSONValue? = nil,
        retainedTail: [JSONValue]? = nil, details: JSONValue? = nil, usage: Usage? = nil
    ) {
        self.summary = summary
        self.firstKeptEntryID = firstKeptEntryID
        self.tokensBefore = tokensBefore
        self.systemMessage = systemMessage
        self.retainedTail = retainedTail
        self.details = details
        self.usage = usage
    }
}

/// A summary of a branch that was left.
public struct BranchSummary: Sendable {
    /// The leaf that was left, or `root`.
    public var fromID: String
    public var summary: String
    public var details: JSONValue?
    public var usage: Usage?

    public init(fromID: String, summary: String, details: JSONValue? = nil, usage: Usage? = nil) {
        self.fromID = fromID
        self.summary = summary
        self.details = details
        self.usage = usage
    }
}

/// A message of an extension, sent to models as the user's.
public struct CustomMessage: Sendable {
    public var customType: String
    public var content: JSONValue
    public var display: Bool
    public var details: JSONValue?
}

/// Replaces the content of an earlier message in the context; nil takes the message out.
public struct ContextEdit: Sendable {
    public var target: EntryID
    /// An object with the new `content`.
    public var replacement: JSONValue?

    public init(target: EntryID, replacement: JSONValue?) {
        self.target = target
        self.replacement = replacement
    }
}

extension Entry {
    /// The message's exact JSON text, if this is a message entry.
    public var messageJSON: ArraySlice<UInt8>? {
        guard case .message(let message) = body else { return nil }
        return line[(line.startIndex + Int(message.jsonStart))..<(line.startIndex + Int(message.jsonEnd))]
    }

    /// Tokens and money that this entry accounts for; nil if none.
    public var usage: Usage? {
        switch body {
        case .message(let message):
            guard message.usageEnd > message.usageStart else { return nil }
            let range = (line.startIndex + Int(message.usageStart))..<(line.startIndex + Int(message.usageEnd))
            return Usage(scanning: line[range])
        case .compaction(let compaction): return compaction.usage
        case .branchSummary(let summary): return summary.usage
        case .usage(let usage): return usage
        default: return nil
        }
    }

    public var role: MessageRole? {
        if case .message(let message) = body { message.role } else { nil }
    }

    /// The whole line as a value. A line that made an entry is valid JSON.
    public var json: JSONValue { (try? JSONValue(parsing: line)) ?? .null }
}

extension EntryBody {
    /// The `type` as the format writes it.
    public var typeName: String {
        switch self {
        case .message: "message"
        case .thinkingLevelChange: "thinking_level_change"
        case .modelChange: "model_change"
        case .activeToolsChange: "active_tools_change"
        case .compaction: "compaction"
        case .branchSummary: "branch_summary"
        case .customMessage: "custom_message"
        case .custom: "custom"
        case .label: "label"
        case .sessionInfo: "session_info"
        case .leaf: "leaf"
        case .contextEdit: "context_edit"
        case .usage: "usage"
        case .other(let type): type
        }
    }
}
