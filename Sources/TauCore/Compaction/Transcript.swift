/// A conversation as plain text for a model that is to summarise it, not to continue it.
public struct Transcript: Sendable {
    /// Characters of a tool's result that are shown.
    static let resultLength = 2000

    /// What was said, piece by piece, each under the name of its speaker.
    private let parts: [String]

    public var text: String { parts.joined(separator: "\n\n") }

    /// Writes messages down under the names of their speakers. Results of tools are shortened, nothing else is.
    public init(_ items: [ModelContext.Item]) {
        var context = ModelContext()
        context.messages = items
        parts = Conversation(context).messages.flatMap(Self.parts)
    }

    private init(parts: [String]) { self.parts = parts }

    /// The same in pieces that a model can take one after the other; nothing is left out.
    public func pieces(ofTokens tokens: Int) -> [Transcript] {
        // As tokens are estimated.
        let budget = max(tokens, 1) * 4
        var pieces: [Transcript] = []
        var piece: [String] = []
        var size = 0
        for part in parts.flatMap({ Self.slices(of: $0, budget) }) {
            if size + part.utf16Length > budget, !piece.isEmpty {
                pieces.append(Transcript(parts: piece))
                piece = []
                size = 0
            }
            piece.append(part)
            size += part.utf16Length
        }
        return piece.isEmpty ? pieces : pieces + [Transcript(parts: piece)]
    }

    private static func slices(of part: String, _ budget: Int) -> [String] {
        guard part.utf16Length > budget else { return [part] }
        var slices: [String] = []
        var slice = String.UnicodeScalarView()
        var size = 0
        for scalar in part.unicodeScalars {
            let width = UTF16.width(scalar)
            if size + width > budget, size > 0 {
                slices.append(String(slice))
                slice = String.UnicodeScalarView()
                size = 0
            }
            slice.append(scalar)
            size += width
        }
        return slices + [String(slice)]
    }

    private static func parts(_ message: Message) -> [String] {
        func texts(_ content: [ContentBlock]) -> String {
            let texts = content.compactMap { block in
                if case .image = block { "[image]" } else { block.text }
            }
            return texts.joined(separator: "\n")
        }
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
