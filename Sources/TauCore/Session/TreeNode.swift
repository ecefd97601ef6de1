/// An entry as a drawing of the tree shows it.
public struct TreeNode: Sendable, Equatable {
    public var id: EntryID
    public var parentID: EntryID?
    public var type: String
    /// The role of a message.
    public var role: String?
    /// The beginning of what it says, on one line.
    public var preview: String
    public var timestamp: Timestamp?
    public var label: String?

    /// Characters of a preview.
    static let previewLength = 100
}

extension SessionTree {
    /// All entries in file order.
    public var nodes: [TreeNode] {
        entries.map { entry in
            TreeNode(
                id: entry.id, parentID: entry.parentID, type: entry.body.typeName, role: entry.storedRole,
                preview: entry.preview, timestamp: entry.timestamp, label: labels[entry.id])
        }
    }
}

extension Entry {
    /// The role as the line has it, also one that this version does not know.
    fileprivate var storedRole: String? {
        guard let role else { return nil }
        guard role == .other else { return role.rawValue }
        return messageJSON.flatMap { try? JSONValue(parsing: $0) }?["role"]?.string
    }

    /// The beginning of what the entry says, on one line.
    public var preview: String {
        let text: String =
            switch body {
            case .message(let message): Self.preview(of: message.role, messageJSON)
            case .thinkingLevelChange(let level): "thinking: \(level)"
            case .modelChange(let model, _): model.description
            case .activeToolsChange(let names): "tools: \(names.joined(separator: ", "))"
            case .compaction(let compaction): compaction.summary
            case .branchSummary(let summary): summary.summary
            case .customMessage(let message):
                ContentBlock.blocks(message.content).compactMap(\.text).joined(separator: " ")
            case .custom(let type): type
            case .label(let target, let label): label.map { "\($0) → \(target)" } ?? "label of \(target) removed"
            case .sessionInfo(let name): name ?? ""
            case .leaf(let target): "leaf → \(target?.rawValue ?? "start")"
            case .contextEdit(let edit): "edits \(edit.target)"
            case .usage(let usage): "\(usage.totalTokens) tokens"
            case .other: ""
            }
        return Self.shortened(text)
    }

    private static func preview(of role: MessageRole, _ bytes: ArraySlice<UInt8>?) -> String {
        guard let json = bytes.flatMap({ try? JSONValue(parsing: $0) }) else { return "" }
        if role == .bashExecution { return "$ \(json["command"]?.string ?? "")" }
        let blocks = ContentBlock.blocks(json["content"])
        let texts = blocks.compactMap(\.text).filter { !$0.isEmpty }
        if let first = texts.first { return first }
        let calls = blocks.compactMap { if case .toolCall(let call) = $0 { "\(call.name)(…)" } else { nil } }
        if !calls.isEmpty { return calls.joined(separator: ", ") }
        return json["errorMessage"]?.string ?? ""
    }

    private static func shortened(_ text: String) -> String {
        var result = ""
        var count = 0
        for scalar in text.unicodeScalars {
            guard count < TreeNode.previewLength else { return result + "…" }
            result.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7F ? " " : scalar)
            count += 1
        }
        return result
    }
}
