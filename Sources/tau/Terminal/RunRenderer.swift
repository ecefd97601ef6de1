internal import TauCore

/// What a person sees of a run: the text as it comes, each tool call in one line.
struct RunRenderer {
    /// One piece of output and where it belongs.
    enum Piece: Equatable {
        /// Standard output.
        case text(String)
        /// A line on standard error.
        case note(String)
        /// A piece of the model's thinking, on standard error.
        case thinking(String)
    }

    private static let argumentLength = 60
    private static let resultLength = 80
    private static let reasonLength = 120
    private var endsWithLineFeed = true
    private var isThinking = false

    mutating func pieces(of event: TauClient.Event) -> [Piece] {
        let json = event.json
        switch event.type {
        case "message_update": return update(json["assistantMessageEvent"] ?? .null)
        case "tool_execution_start":
            return lineEnd() + [.note("→ \(name(json))(\(summary(json["args"])))")]
        case "tool_execution_end":
            // What a call answered is for the model; that it failed is for the person, too.
            guard json["isError"]?.bool == true else { return [] }
            let texts = ContentBlock.blocks(json["result"]?["content"]).compactMap(\.text)
            return lineEnd() + [.note("✗ \(name(json)): \(Terminal.line(texts.first ?? "", Self.resultLength))")]
        case "approval_required":
            return lineEnd() + [.note("? \(name(json))(\(summary(json["arguments"]))) waits for an approval")]
        case "retry":
            let seconds = JSONWriter.javaScriptNumber((json["delayMs"]?.double ?? 0) / 1000)
            let reason = Terminal.line(json["reason"]?.string ?? "", Self.reasonLength)
            return lineEnd() + [.note("… trying again in \(seconds) s: \(reason)")]
        case "model_fallback":
            let model = "\(json["to"]?["provider"]?.string ?? "")/\(json["to"]?["id"]?.string ?? "")"
            let reason = Terminal.line(json["reason"]?.string ?? "", Self.reasonLength)
            return lineEnd() + [.note("… \(Terminal.line(model, 60)) takes over: \(reason)")]
        case "compaction_start": return lineEnd() + [.note("… summarising the older part of the session")]
        case "message_end", "run_state": return lineEnd()
        default: return []
        }
    }

    private mutating func update(_ update: JSONValue) -> [Piece] {
        let delta = Terminal.harmless(update["delta"]?.string ?? "")
        guard !delta.isEmpty else { return [] }
        switch update["type"]?.string {
        case "text_delta":
            let end = thinkingEnd()
            endsWithLineFeed = delta.utf8.last == UInt8(ascii: "\n")
            return end + [.text(delta)]
        case "thinking_delta":
            let end = isThinking ? [] : lineEnd()
            isThinking = true
            return end + [.thinking(delta)]
        default: return []
        }
    }

    /// Ends a line of text that has no end yet, before something else is shown.
    private mutating func lineEnd() -> [Piece] {
        defer { endsWithLineFeed = true }
        return thinkingEnd() + (endsWithLineFeed ? [] : [.text("\n")])
    }

    private mutating func thinkingEnd() -> [Piece] {
        defer { isThinking = false }
        return isThinking ? [.thinking("\n")] : []
    }

    private func name(_ json: JSONValue) -> String { Terminal.line(json["toolName"]?.string ?? "", 40) }

    private func summary(_ arguments: JSONValue?) -> String {
        let parts = (arguments?.object?.members ?? []).map { member in
            "\(member.key)=\(member.value.string ?? member.value.text)"
        }
        return Terminal.line(parts.joined(separator: ", "), Self.argumentLength)
    }
}
