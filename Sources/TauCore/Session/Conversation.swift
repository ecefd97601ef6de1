/// A context in the form that providers take: one system prompt, and messages of users, assistants and tools. It grows as the context does.
public struct Conversation: Sendable {
    public private(set) var systemPrompt: String?
    public private(set) var messages: [Message] = []
    private var prompt = SystemPrompt()
    /// Messages of the context that were read, and the bytes that they have there.
    private var itemCount = 0
    public private(set) var byteCount = 0

    /// Of a context without messages.
    public init() {}

    /// Reads the context's messages: notes of shell commands, extensions and summaries become messages of the user.
    public init(_ context: ModelContext) { read(context) }

    /// Reads what the context has more than when it was read last; what was read before must still be its beginning.
    public mutating func read(_ context: ModelContext) {
        // Later it grows by itself: room for exactly what is there would be made anew at each turn.
        if messages.isEmpty { messages.reserveCapacity(context.messages.count) }
        for item in context.messages.dropFirst(itemCount) {
            byteCount += item.json.count
            read(item)
        }
        itemCount = context.messages.count
        systemPrompt = prompt.text
    }

    private mutating func read(_ item: ModelContext.Item) {
        guard let json = try? JSONValue(parsing: item.json) else { return }
        switch item.role {
        case .system: prompt.apply(json)
        case .user, .assistant, .toolResult:
            if let message = Message(json: json) { messages.append(message) }
        case .custom: add(ContentBlock.blocks(json["content"]), of: json)
        case .bashExecution:
            if json["excludeFromContext"]?.bool != true { add([.text(Self.shellNote(json))], of: json) }
        case .branchSummary:
            let leadIn = "This is a summary of another branch of this conversation, which was left:"
            add([.text(Self.summary(json, leadIn))], of: json)
        case .compactionSummary:
            let leadIn = "The conversation before this point was replaced by this summary:"
            add([.text(Self.summary(json, leadIn))], of: json)
        case .other: return
        }
    }

    private mutating func add(_ content: [ContentBlock], of json: JSONValue) {
        let time = Timestamp(json: json["timestamp"]) ?? Timestamp(milliseconds: 0)
        messages.append(.user(UserMessage(content: content, timestamp: time)))
    }

    private static func summary(_ json: JSONValue, _ leadIn: String) -> String {
        "\(leadIn)\n\n<summary>\n\(json["summary"]?.string ?? "")\n</summary>"
    }

    /// A shell command that the user ran, told to the model in Pi's words.
    static func shellNote(_ json: JSONValue) -> String {
        var text = "Ran `\(json["command"]?.string ?? "")`\n"
        let output = json["output"]?.string ?? ""
        text += output.isEmpty ? "(no output)" : "```\n\(output)\n```"
        if json["cancelled"]?.bool == true {
            text += "\n\n(command cancelled)"
        } else if let code = json["exitCode"]?.integer, code != 0 {
            text += "\n\nCommand exited with code \(code)"
        }
        if json["truncated"]?.bool == true, let path = json["fullOutputPath"]?.string {
            text += "\n\n[Output truncated. Full output: \(path)]"
        }
        return text
    }
}

/// The prompt that system messages add up to: their contents in order, then named sections, each replaced or removed by name.
struct SystemPrompt: Sendable {
    private var contents: [String] = []
    private var sections: [(name: String, text: String)] = []

    mutating func apply(_ message: JSONValue) {
        let content = ContentBlock.plainText(message["content"])
        if !content.isEmpty { contents.append(content) }
        for removed in message["toolsRemoved"]?.array ?? [] { tools.removeAll { .string($0.name) == removed["name"] } }
        for added in message["toolsAdded"]?.array ?? [] {
            guard let name = added["name"]?.string else { continue }
            tools.removeAll { $0.name == name }
            tools.append((name, added))
        }
        for member in message["sections"]?.object?.members ?? [] {
            let place = sections.firstIndex { $0.name == member.key }
            switch (member.value.string, place) {
            case (let text?, let place?): sections[place].text = text
            case (let text?, nil): sections.append((member.key, text))
            case (nil, let place?): sections.remove(at: place)
            case (nil, nil): break
            }
        }
    }

    private var tools: [(name: String, declaration: JSONValue)] = []

    /// All of it as one message; nil where there is nothing.
    func message(at time: JSONValue) -> JSONValue? {
        guard text != nil || !tools.isEmpty else { return nil }
        var object = JSONObject(members: [
            .init(key: "role", value: "system"),
            .init(key: "content", value: .string(contents.joined(separator: "\n\n"))),
        ])
        if !sections.isEmpty {
            let members = sections.map { JSONObject.Member(key: $0.name, value: .string($0.text)) }
            object.update("sections", to: .object(JSONObject(members: members)))
        }
        if !tools.isEmpty { object.update("toolsAdded", to: .array(tools.map(\.declaration))) }
        object.update("timestamp", to: time)
        return .object(object)
    }

    var text: String? {
        let parts = contents + sections.map(\.text)
        return parts.isEmpty ? nil : parts.joined(separator: "\n\n")
    }
}
