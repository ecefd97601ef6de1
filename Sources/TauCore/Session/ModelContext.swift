/// What a model is sent for one branch. It depends on the leaf alone.
public struct ModelContext: Sendable {
    /// One message in its stored form.
    public struct Item: Sendable {
        public var role: MessageRole
        /// The message's exact JSON text.
        public var json: ArraySlice<UInt8>
        /// The entry that it comes from.
        public var entryID: EntryID

        public init(role: MessageRole, json: ArraySlice<UInt8>, entryID: EntryID) {
            self.role = role
            self.json = json
            self.entryID = entryID
        }
    }

    public var messages: [Item] = []
    public var settings = BranchSettings()
    /// The first message that came after the latest compaction. What models counted before is not true any more.
    public var freshStart = 0

    public init() {}
}

extension SessionTree {
    /// Builds the context of a branch: linear in the branch's length.
    ///
    /// Pi's rules (buildSessionContext, with the later rules for self-contained compactions, edits and system messages):
    /// nil is the place before the first entry; an unknown leaf falls back to the last entry.
    public func context(of leaf: EntryID?) -> ModelContext {
        guard let leaf else { return ModelContext() }
        let start = contains(leaf) ? leaf : entries.last?.id
        let path = branch(to: start)
        var context = ModelContext()
        context.settings = settings(of: start)
        let compactionPlace = path.lastIndex { if case .compaction = entries[$0].body { true } else { false } }

        var builder = ContextBuilder(entries: entries, capacity: path.count)
        if let compactionPlace, case .compaction(let compaction) = entries[path[compactionPlace]].body {
            builder.add(compaction, of: entries[path[compactionPlace]])
            if let firstKept = compaction.firstKeptEntryID, compaction.retainedTail == nil,
                let start = path[..<compactionPlace].firstIndex(where: { entries[$0].id == firstKept })
            {
                builder.add(path[start..<compactionPlace], keepsSystemMessages: false)
            }
            builder.markFresh()
            builder.add(path[(compactionPlace + 1)...], keepsSystemMessages: true)
        } else {
            builder.add(path[...], keepsSystemMessages: true)
        }
        (context.messages, context.freshStart) = builder.finish()
        return context
    }

    /// The messages on a part of a branch, without regard to compactions, as the edits on it leave them.
    func editedMessages(on path: ArraySlice<Int>) -> [ModelContext.Item] {
        var builder = ContextBuilder(entries: entries, capacity: path.count)
        builder.add(path, keepsSystemMessages: true)
        return builder.finish().items
    }

    /// The same with what compactions say, and without results of tools.
    func summarizableMessages(on path: ArraySlice<Int>) -> [ModelContext.Item] {
        var builder = ContextBuilder(entries: entries, capacity: path.count)
        for place in path {
            if case .compaction(let compaction) = entries[place].body { builder.add(compaction, of: entries[place]) }
            builder.add([place], keepsSystemMessages: false)
        }
        return builder.finish().items.filter { $0.role != .toolResult && $0.role != .system }
    }

    /// The prompt that the branch's system messages add up to, as one message with the tools that they declare.
    func systemMessage(_ path: ArraySlice<Int>) -> JSONValue? {
        var prompt = SystemPrompt()
        var time: JSONValue?
        for place in path {
            let message: JSONValue? =
                switch entries[place].body {
                case .message(let message) where message.role == .system:
                    entries[place].messageJSON.flatMap { try? JSONValue(parsing: $0) }
                case .compaction(let compaction): compaction.systemMessage
                default: nil
                }
            guard let message else { continue }
            // A compaction's message holds all that was before it.
            if case .compaction = entries[place].body { prompt = SystemPrompt() }
            prompt.apply(message)
            time = message["timestamp"] ?? time
        }
        return time.flatMap { prompt.message(at: $0) }
    }
}

private struct ContextBuilder {
    let entries: [Entry]
    private var items: [ModelContext.Item] = []
    /// The last edit of each entry wins.
    private var edits: [EntryID: ContextEdit] = [:]
    private var freshStart = 0
    /// What a compaction says cannot be edited.
    private var compactionID: EntryID?

    init(entries: [Entry], capacity: Int) {
        self.entries = entries
        items.reserveCapacity(capacity)
    }

    mutating func add(_ places: ArraySlice<Int>, keepsSystemMessages: Bool) {
        for place in places {
            let entry = entries[place]
            switch entry.body {
            case .message(let message):
                guard keepsSystemMessages || message.role != .system, let json = entry.messageJSON else { continue }
                items.append(ModelContext.Item(role: message.role, json: json, entryID: entry.id))
            case .customMessage(let message):
                add(.custom, message.json(at: entry.timestamp), entry.id)
            case .branchSummary(let summary) where !summary.summary.isEmpty:
                add(.branchSummary, summary.json(at: entry.timestamp), entry.id)
            case .contextEdit(let edit): edits[edit.target] = edit
            default: continue
            }
        }
    }

    mutating func add(_ compaction: Compaction, of entry: Entry) {
        compactionID = entry.id
        if let message = compaction.systemMessage { add(.system, message, entry.id) }
        add(.compactionSummary, compaction.json(at: entry.timestamp), entry.id)
        for message in compaction.retainedTail ?? [] {
            add(message["role"]?.string.flatMap(MessageRole.init) ?? .other, message, entry.id)
        }
    }

    private mutating func add(_ role: MessageRole, _ json: JSONValue, _ id: EntryID) {
        items.append(ModelContext.Item(role: role, json: json.serialized[...], entryID: id))
    }

    /// What is added from now on came after the compaction.
    mutating func markFresh() { freshStart = items.count }

    func finish() -> (items: [ModelContext.Item], freshStart: Int) {
        guard !edits.isEmpty else { return (items, freshStart) }
        let fresh = items[freshStart...].compactMap(edited)
        let old = items[..<freshStart].compactMap(edited)
        return (old + fresh, old.count)
    }

    private func edited(_ item: ModelContext.Item) -> ModelContext.Item? {
        guard let edit = edits[item.entryID], item.entryID != compactionID,
            [.user, .assistant, .toolResult, .custom].contains(item.role)
        else { return item }
        guard let replacement = edit.replacement else { return nil }
        guard var message = (try? JSONValue(parsing: item.json))?.object, let content = replacement["content"]
        else { return item }
        let isBlocks = item.role == .assistant || item.role == .toolResult
        if isBlocks, let text = content.string {
            message.update("content", to: [["type": "text", "text": .string(text)]])
        } else {
            message.update("content", to: content)
        }
        return ModelContext.Item(
            role: item.role, json: JSONValue.object(message).serialized[...], entryID: item.entryID)
    }
}

// MARK: - Messages that only exist in a context

extension CustomMessage {
    fileprivate func json(at time: Timestamp?) -> JSONValue {
        var object: JSONObject = JSONObject(members: [
            .init(key: "role", value: "custom"), .init(key: "customType", value: .string(customType)),
            .init(key: "content", value: content), .init(key: "display", value: .bool(display)),
        ])
        if let details { object.update("details", to: details) }
        object.update("timestamp", to: .integer(Int(time?.milliseconds ?? 0)))
        return .object(object)
    }
}

extension BranchSummary {
    fileprivate func json(at time: Timestamp?) -> JSONValue {
        [
            "role": "branchSummary", "summary": .string(summary), "fromId": .string(fromID),
            "timestamp": .integer(Int(time?.milliseconds ?? 0)),
        ]
    }
}

extension Compaction {
    fileprivate func json(at time: Timestamp?) -> JSONValue {
        [
            "role": "compactionSummary", "summary": .string(summary), "tokensBefore": .integer(tokensBefore),
            "timestamp": .integer(Int(time?.milliseconds ?? 0)),
        ]
    }
}
