/// Tokens of a context before the model has counted them: UTF-16 units divided by four, rounded up, as Pi estimates.
public enum TokenEstimate {
    /// Characters that an image counts for.
    static let charactersOfImage = 4800

    /// What the model counted last on this context, and an estimate of everything after; an estimate of all where it never did.
    /// What was counted before a compaction counts no more: it would make the next compaction due at once.
    public static func tokens(of context: ModelContext) -> Int {
        let (counted, estimated) = parts(of: context)
        return counted + estimated
    }

    /// The same in its two parts.
    public static func parts(of context: ModelContext) -> (counted: Int, estimated: Int) {
        var trailing = 0
        for (index, item) in context.messages.enumerated().reversed() {
            guard let json = try? JSONValue(parsing: item.json) else { continue }
            if item.role == .assistant, index >= context.freshStart, let counted = countedTokens(json) {
                return (counted, trailing)
            }
            trailing += tokens(of: item.role, json)
        }
        return (0, trailing)
    }

    private static func countedTokens(_ json: JSONValue) -> Int? {
        guard let reason = json["stopReason"]?.string, reason != "aborted", reason != "error",
            json["usage"]?.object != nil
        else { return nil }
        let usage = Usage(json: json["usage"])
        let total = usage.totalTokens
        return total > 0 ? total : nil
    }

    static func tokens(of role: MessageRole, _ json: JSONValue) -> Int {
        (characters(of: role, json) + 3) / 4
    }

    private static func characters(of role: MessageRole, _ json: JSONValue) -> Int {
        func length(_ value: JSONValue?) -> Int { value?.string?.utf16Length ?? 0 }
        switch role {
        case .bashExecution: return length(json["command"]) + length(json["output"])
        case .branchSummary, .compactionSummary: return length(json["summary"])
        case .system, .user, .assistant, .toolResult, .custom, .other:
            if let text = json["content"]?.string { return text.utf16Length }
            return (json["content"]?.array ?? []).reduce(0) { sum, block in
                switch block["type"]?.string {
                case "text": sum + length(block["text"])
                case "thinking": sum + length(block["thinking"])
                case "toolCall": sum + length(block["name"]) + (block["arguments"]?.text.utf16Length ?? 0)
                case "image": sum + (role == .user ? 0 : charactersOfImage)
                default: sum
                }
            }
        }
    }
}
