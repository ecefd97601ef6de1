/// What adds up over a session's entries in file order, whatever their branches.
public struct SessionTotals: Sendable, Equatable {
    public private(set) var entryCount = 0
    /// The entry at which the next one is added; nil for the place before the first.
    public private(set) var leafID: EntryID?
    public private(set) var name: String?
    public private(set) var metadata = JSONObject()
    /// Over all branches.
    public private(set) var usage = Usage()
    /// The latest time of a user's or an assistant's message.
    public private(set) var lastMessageTime: Timestamp?

    /// The type of the custom entries that hold a session's metadata.
    public static let metadataType = "tau.metadata"

    public init() {}

    /// Totals as they were kept somewhere.
    public init(
        entryCount: Int, leafID: EntryID?, name: String?, metadata: JSONObject, usage: Usage,
        lastMessageTime: Timestamp?
    ) {
        self.entryCount = entryCount
        self.leafID = leafID
        self.name = name
        self.metadata = metadata
        self.usage = usage
        self.lastMessageTime = lastMessageTime
    }

    /// Adds the next entry of the file. `exists` tells whether an entry of this id is in the session.
    public mutating func add(_ entry: Entry, exists: (EntryID) -> Bool) {
        entryCount += 1
        leafID = entry.id
        if let usage = entry.usage { self.usage += usage }
        switch entry.body {
        case .message(let message) where message.role == .user || message.role == .assistant:
            if let time = message.timestamp ?? entry.timestamp { lastMessageTime = max(lastMessageTime ?? time, time) }
        case .sessionInfo(let name): self.name = Self.normalizedName(name)
        case .leaf(let target):
            // A target that does not exist could not be continued: the leaf is then this entry, as with any other type.
            if target.map(exists) ?? true { leafID = target }
        case .custom(Self.metadataType): metadata = entry.json["data"]?.object ?? JSONObject()
        default: break
        }
    }

    /// Line ends become spaces, white space at both ends goes; an empty name is none.
    static func normalizedName(_ name: String?) -> String? {
        guard let name else { return nil }
        let words = name.unicodeScalars.split { $0 == "\n" || $0 == "\r" }.map { String(String.UnicodeScalarView($0)) }
        let joined = words.joined(separator: " ")
        let trimmed = joined.drop { $0 == " " || $0 == "\t" }
        let end = trimmed.lastIndex { $0 != " " && $0 != "\t" }
        return end.map { String(trimmed[...$0]) }
    }
}

extension BranchSettings {
    /// Takes over what the next entry of the branch sets.
    public mutating func apply(_ entry: Entry) {
        switch entry.body {
        case .thinkingLevelChange(let level): thinkingLevel = level
        case .modelChange(let reference, let isAutomatic):
            model = reference
            isModelAutomatic = isAutomatic
        case .message(let message) where message.role == .assistant: model = entry.assistantModel
        case .activeToolsChange(let names): activeToolNames = names
        default: break
        }
    }
}

extension SessionSummary {
    /// `updatedAt` is the time of the latest message, or of the session's beginning.
    public init(id: SessionID, createdAt: Timestamp, totals: SessionTotals, settings: BranchSettings) {
        self.init(
            id: id, name: totals.name, createdAt: createdAt, updatedAt: totals.lastMessageTime ?? createdAt,
            leafID: totals.leafID,
            entryCount: totals.entryCount, model: settings.model, thinkingLevel: settings.thinkingLevel,
            usage: totals.usage, metadata: totals.metadata)
    }
}
