/// What is about to be added to a session. The keys are written in Pi's order.
public enum NewEntry: Sendable {
    case message(Message)
    case thinkingLevelChange(ThinkingLevel)
    /// `choice` tells that Tau chose the model; such a branch is chosen for anew with each message.
    case modelChange(ModelReference, choice: AutomaticChoice? = nil)
    case activeToolsChange([String])
    case label(target: EntryID, label: String?)
    case sessionInfo(name: String)
    case custom(type: String, data: JSONValue)
    indirect case compaction(Compaction)
    indirect case branchSummary(BranchSummary)
    indirect case contextEdit(ContextEdit)
    /// The entry's parent must be the target: a reader that does not know the type ends on the same branch.
    case leaf(target: EntryID?)
}

extension Entry {
    /// Writes a new entry's line.
    public init(_ new: NewEntry, id: EntryID, parentID: EntryID?, timestamp: Timestamp) {
        var writer = JSONWriter()
        writer.object { writer in
            func base(_ writer: inout JSONWriter) {
                writer.member("id", id.rawValue)
                writer.member("parentId", orNull: parentID?.rawValue)
                writer.member("timestamp", timestamp.description)
            }
            switch new {
            case .message(let message):
                writer.member("type", "message")
                base(&writer)
                writer.key("message")
                message.write(to: &writer)
            case .thinkingLevelChange(let level):
                writer.member("type", "thinking_level_change")
                base(&writer)
                writer.member("thinkingLevel", level.rawValue)
            case .modelChange(let model, let choice):
                writer.member("type", "model_change")
                base(&writer)
                writer.member("provider", model.provider)
                writer.member("modelId", model.id)
                if let choice {
                    writer.key("choice")
                    choice.write(to: &writer)
                }
            case .activeToolsChange(let names):
                writer.member("type", "active_tools_change")
                base(&writer)
                writer.key("activeToolNames")
                writer.array { writer in for name in names { writer.string(name) } }
            case .label(let target, let label):
                writer.member("type", "label")
                base(&writer)
                writer.member("targetId", target.rawValue)
                writer.member("label", ifPresent: label)
            case .sessionInfo(let name):
                writer.member("type", "session_info")
                base(&writer)
                writer.member("name", name)
            case .compaction(let compaction):
                writer.member("type", "compaction")
                base(&writer)
                writer.member("summary", compaction.summary)
                writer.member("firstKeptEntryId", ifPresent: compaction.firstKeptEntryID?.rawValue)
                writer.member("tokensBefore", compaction.tokensBefore)
                if let details = compaction.details { writer.member("details", details) }
                writer.member("fromHook", false)
                if let message = compaction.systemMessage { writer.member("systemMessage", message) }
                writer.usage(compaction.usage)
            case .branchSummary(let summary):
                writer.member("type", "branch_summary")
                base(&writer)
                writer.member("fromId", summary.fromID)
                writer.member("summary", summary.summary)
                if let details = summary.details { writer.member("details", details) }
                writer.member("fromHook", false)
                writer.usage(summary.usage)
            case .contextEdit(let edit):
                writer.member("type", "context_edit")
                base(&writer)
                writer.member("targetId", edit.target.rawValue)
                writer.member("replacement", edit.replacement ?? .null)
            case .leaf(let target):
                writer.member("type", "leaf")
                base(&writer)
                writer.member("targetId", orNull: target?.rawValue)
            case .custom(let type, let data):
                // Pi writes these keys before the base.
                writer.member("type", "custom")
                writer.member("customType", type)
                writer.member("data", data)
                base(&writer)
            }
        }
        do {
            try self.init(line: writer.bytes[...])
        } catch {
            preconditionFailure("Invariant: an entry that this function writes can be read: \(error)")
        }
    }
}

extension JSONWriter {
    fileprivate mutating func usage(_ usage: Usage?) {
        guard let usage else { return }
        key("usage")
        usage.write(to: &self)
    }
}
