internal import TauCore

/// The built-in script: it does what it is told in plain commands, so that Tau can be tried and tested offline.
///
/// `Use NAME with key=value, other="a longer value".` calls a tool; several such sentences in one message call several
/// tools in one turn. When the results are there they are quoted. Anything else gets a word on how to set a key.
enum Demonstration {
    private static let quotedLength = 400

    static func reply(to request: ModelRequest) -> Script.Reply {
        let state = ConversationState(request.messages)
        // A request for a summary: what stands in the conversation is no command.
        if request.tools.isEmpty, state.lastUserText.contains("<conversation>") {
            return Script.Reply(summary(state.lastUserText))
        }
        if state.turn > 0 { return Script.Reply(report(state.results)) }
        let calls = DemonstrationCommand.commands(in: state.lastUserText, tools: request.tools)
        guard !calls.isEmpty else { return Script.Reply(introduction(state.lastUserText)) }
        let lead = calls.count == 1 ? "I will use \(calls[0].tool)." : "I will use \(calls.count) tools."
        return Script.Reply(
            content: [.text(lead)]
                + calls.map {
                    .toolCall(id: nil, name: $0.tool, arguments: JSONValue.object($0.arguments).text)
                })
    }

    private static func introduction(_ text: String) -> String {
        let quote = text.isBlank ? "" : "You said: “\(text.bounded(to: 120))”. "
        return """
            \(quote)This is Tau's scripted model: it works offline, and it does not think. Set ANTHROPIC_API_KEY or \
            OPENAI_API_KEY (or ANTHROPIC_BASE_URL or OPENAI_BASE_URL for a local server) and start Tau again to talk \
            to a real one. Until then I can use tools: say, for example, “Use bash with command="echo hello".”
            """
    }

    private static func summary(_ text: String) -> String {
        let messages = text.split(separator: "\n").count { $0.hasPrefix("[") && $0.contains("]: ") }
        return "Tau's scripted model does not think, so this is all it can say: \(messages) messages were summarised."
    }

    private static func report(_ results: [ToolResultMessage]) -> String {
        guard !results.isEmpty else { return "Done." }
        return results.map { result in
            let text = result.content.joinedText
            let quote = text.unicodeScalars.prefix(quotedLength)
            let isCut = quote.count < text.unicodeScalars.count
            let words = text.isBlank ? "(no output)" : String(quote) + (isCut ? "…" : "")
            return "\(result.toolName) \(result.isError ? "failed" : "said"): \(words)"
        }.joined(separator: "\n")
    }
}

/// One command to use a tool.
struct DemonstrationCommand: Hashable {
    var tool: String
    var arguments: JSONObject

    /// The commands of a text. Without arguments only the name of a known tool makes one, as people also write “use”.
    static func commands(in text: String, tools: [ToolDefinition]) -> [DemonstrationCommand] {
        var commands: [DemonstrationCommand] = []
        var reader = CommandReader(text)
        while reader.skipToUse() {
            guard let name = reader.name() else { continue }
            let definition = tools.first { $0.name == name }
            let pairs = reader.arguments()
            guard definition != nil || !pairs.isEmpty else { continue }
            var arguments = JSONObject()
            for (key, value) in pairs {
                arguments.update(key, to: typed(value, definition?.parameters["properties"]?[key]?["type"]?.string))
            }
            commands.append(DemonstrationCommand(tool: name, arguments: arguments))
        }
        return commands
    }

    /// The value that the tool's schema asks for, or the text itself.
    private static func typed(_ text: String, _ type: String?) -> JSONValue {
        guard let parsed = try? JSONValue(parsing: text) else { return .string(text) }
        switch (type, parsed) {
        case ("integer", .number), ("number", .number), ("boolean", .bool), ("array", .array), ("object", .object):
            return parsed
        default: return .string(text)
        }
    }
}

/// Walks over a text with commands.
private struct CommandReader {
    private let characters: [Character]
    private var position = 0

    init(_ text: String) { characters = Array(text) }

    private func character(_ offset: Int = 0) -> Character? {
        position + offset < characters.count ? characters[position + offset] : nil
    }

    /// Moves behind the next word “use”.
    mutating func skipToUse() -> Bool {
        while position < characters.count {
            let isWordStart = position == 0 || !(characters[position - 1].isLetter || characters[position - 1].isNumber)
            if isWordStart, skip(word: "use") { return true }
            position += 1
        }
        return false
    }

    /// Skips a word and the white space that must follow it.
    private mutating func skip(word: String) -> Bool {
        let end = position + word.count
        guard end < characters.count, characters[end].isWhitespace,
            String(characters[position..<end]).lowercased() == word
        else { return false }
        position = end
        skipBlanks()
        return true
    }

    private mutating func skipBlanks() {
        while let character = character(), character.isWhitespace { position += 1 }
    }

    mutating func name() -> String? { take { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "-" } }

    private mutating func take(_ isPart: (Character) -> Bool) -> String? {
        let start = position
        while let character = character(), isPart(character) { position += 1 }
        return start == position ? nil : String(characters[start..<position])
    }

    /// `with key=value, key="value"`, if that is what follows.
    mutating func arguments() -> [(String, String)] {
        skipBlanks()
        guard skip(word: "with") else { return [] }
        var pairs: [(String, String)] = []
        while true {
            let start = position
            guard let key = name(), character() == "=" else {
                position = start
                return pairs
            }
            position += 1
            pairs.append((key, value()))
            guard character() == "," else { return pairs }
            position += 1
            skipBlanks()
        }
    }

    private mutating func value() -> String {
        guard character() == "\"" else { return plainValue() }
        position += 1
        var text = ""
        while let next = character(), next != "\"" {
            position += 1
            guard next == "\\", let escaped = character() else {
                text.append(next)
                continue
            }
            position += 1
            switch escaped {
            case "n": text.append("\n")
            case "t": text.append("\t")
            case "\"", "\\": text.append(escaped)
            default: text += "\\\(escaped)"
            }
        }
        position += 1
        return text
    }

    /// Ends at a comma, at a line's end, or at the full stop that ends the sentence.
    private mutating func plainValue() -> String {
        var end = position
        while end < characters.count, characters[end] != ",", !characters[end].isNewline {
            let isSentenceEnd =
                characters[end] == "." && (end + 1 == characters.count || characters[end + 1].isWhitespace)
            if isSentenceEnd { break }
            end += 1
        }
        defer { position = end }
        return String(characters[position..<end])
    }
}
