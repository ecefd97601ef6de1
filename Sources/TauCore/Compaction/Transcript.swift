/// A conversation as plain text for a model that is to summarise it, not to continue it.
public struct Transcript {
    /// Characters of a tool's result that are shown.
    static let resultLength = 2000

    public let text: String

    /// Writes messages down under the names of their speakers. Results of tools are shortened, nothing else is.
    public init(_ items: [ModelContext.Item]) {
        var context = ModelContext()
        context.messages = items
        text = Conversation(context).messages.flatMap(Self.parts).joined(separator: "\n\n")
    }

    private static func parts(_ message: Message) -> [String] {
        func texts(_ content: [ContentBlock]) -> String { content.compactMap(\.text).joined() }
        switch message {
        case .system: return []
        case .user(let user):
            let text = texts(user.content)
            return text.isEmpty ? [] : ["[User]: \(text)"]
        case .toolResult(let result):
            let text = texts(result.content)
            return text.isEmpty ? [] : ["[Tool result]: \(shortened(text))"]
        case .assistant(let assistant):
            var parts: [String] = []
            let thinking = assistant.content.compactMap { block in
                if case .thinking(let block) = block, !block.isRedacted { block.thinking } else { nil }
            }
            if !thinking.isEmpty { parts.append("[Assistant thinking]: \(thinking.joined(separator: "\n"))") }
            let said = assistant.content.compactMap(\.text)
            if !said.isEmpty { parts.append("[Assistant]: \(said.joined(separator: "\n"))") }
            let calls = assistant.toolCalls.map { call in
                let arguments = call.arguments.members.map { "\($0.key)=\($0.value.text)" }
                return "\(call.name)(\(arguments.joined(separator: ", ")))"
            }
            if !calls.isEmpty { parts.append("[Assistant tool calls]: \(calls.joined(separator: "; "))") }
            return parts
        }
    }

    static func shortened(_ text: String) -> String {
        let count = text.unicodeScalars.count
        guard count > resultLength else { return text }
        let head = String(String.UnicodeScalarView(text.unicodeScalars.prefix(resultLength)))
        return "\(head)\n\n[\(count - resultLength) more characters are left out]"
    }
}
