internal import TauCore

/// A branch's messages as text to read.
struct ConversationText {
    private static let resultLines = 12

    let lines: [String]

    /// Reads messages as the API has them.
    init(_ messages: some Sequence<JSONValue>) {
        lines = messages.flatMap { Self.lines(of: $0) + [""] }
    }

    /// An entry that is no message, as one to read.
    static func message(of entry: JSONValue) -> JSONValue {
        let type = entry["type"]?.string ?? ""
        var object = JSONObject(members: [.init(key: "role", value: .string(type))])
        if let summary = entry["summary"] { object.update("summary", to: summary) }
        if let content = entry["content"] { object.update("content", to: content) }
        let words = ["modelId", "thinkingLevel", "name", "label", "targetId"].compactMap { entry[$0]?.string }
        if !words.isEmpty { object.update("content", to: .string(words.joined(separator: " → "))) }
        return .object(object)
    }

    private static func lines(of message: JSONValue) -> [String] {
        let role = message["role"]?.string ?? ""
        var title = Terminal.line(role, 30)
        if role == "toolResult" {
            title =
                "\(message["isError"]?.bool == true ? "✗" : "✓") \(Terminal.line(message["toolName"]?.string ?? "", 40))"
        } else if role == "assistant", let model = message["model"]?.string {
            title += " (\(Terminal.line(model, 60)))"
        }
        var lines = [Terminal.styled(title, role == "user" ? .bold : .cyan)]
        if let summary = message["summary"]?.string { lines += split(summary) }
        if let command = message["command"]?.string {
            lines += split("$ \(command)\n\(message["output"]?.string ?? "")")
        }
        for block in ContentBlock.blocks(message["content"]) {
            switch block {
            case .text(let text): lines += role == "toolResult" ? shortened(split(text.text)) : split(text.text)
            case .thinking(let thinking): lines += split(thinking.thinking).map { Terminal.styled($0, .dim) }
            case .image(let image): lines.append("[image \(Terminal.line(image.mimeType, 40))]")
            case .toolCall(let call):
                lines.append("→ \(Terminal.line("\(call.name) \(JSONValue.object(call.arguments).text)", 120))")
            }
        }
        if let error = message["errorMessage"]?.string {
            lines.append(Terminal.styled(Terminal.line(error, 200), .red))
        }
        return lines
    }

    private static func split(_ text: String) -> [String] {
        Terminal.harmless(text).split(separator: "\n", omittingEmptySubsequences: false).map { "  " + $0 }
    }

    private static func shortened(_ lines: [String]) -> [String] {
        guard lines.count > resultLines else { return lines }
        return lines.prefix(resultLines) + ["  … \(lines.count - resultLines) more lines"]
    }
}
