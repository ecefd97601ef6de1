/// The entries of one session and what follows from them: parents, leaf, labels, name, totals.
///
/// Adding an entry costs the same however long the session is.
public struct SessionTree: Sendable {
    public let header: SessionHeader
    /// In file order.
    public private(set) var entries: [Entry] = []
    /// The entry at which the next one is added; nil for the place before the first.
    public private(set) var leafID: EntryID?
    public private(set) var labels: [EntryID: String] = [:]
    public private(set) var name: String?
    public private(set) var metadata = JSONObject()
    /// Over all branches.
    public private(set) var usage = Usage()
    /// The latest time of a user's or an assistant's message; the header's where there is none.
    public private(set) var updatedAt: Timestamp

    /// The last entry wins where an id occurs twice, as in Pi.
    private var indexByID: [EntryID: Int32] = [:]
    /// The index of each entry's parent, `noParent` for roots and orphans.
    private var parents: [Int32] = []
    /// Whether some parent stands behind its child: only then can the links form a circle.
    private var hasForwardLinks = false
    private var lastMessageTime: Timestamp?

    private static let noParent: Int32 = -1
    /// The type of the custom entries that hold a session's metadata.
    public static let metadataType = "tau.metadata"

    public init(_ file: SessionFile) {
        header = file.header
        updatedAt = file.header.timestamp
        entries = file.entries
        indexByID.reserveCapacity(entries.count)
        for (index, entry) in entries.enumerated() { indexByID[entry.id] = Int32(index) }
        parents.reserveCapacity(entries.count)
        for (index, entry) in entries.enumerated() {
            let parent = entry.parentID.flatMap { indexByID[$0] } ?? Self.noParent
            if Int(parent) >= index { hasForwardLinks = true }
            parents.append(parent)
            absorb(entry)
        }
        updatedAt = lastMessageTime ?? header.timestamp
    }

    /// Adds an entry behind the last one.
    ///
    /// The parent must be nil or an earlier entry, and the id must be new: what Tau adds always forms a tree.
    public mutating func append(_ entry: Entry) {
        precondition(indexByID[entry.id] == nil, "Invariant: a new entry's id is not taken")
        let parent: Int32
        if let parentID = entry.parentID {
            guard let index = indexByID[parentID] else {
                preconditionFailure("Invariant: a new entry's parent is an earlier entry")
            }
            parent = index
        } else {
            parent = Self.noParent
        }
        indexByID[entry.id] = Int32(entries.count)
        entries.append(entry)
        parents.append(parent)
        absorb(entry)
        updatedAt = lastMessageTime ?? header.timestamp
    }

    private mutating func absorb(_ entry: Entry) {
        leafID = entry.id
        if let usage = entry.usage { self.usage += usage }
        switch entry.body {
        case .message(let message) where message.role == .user || message.role == .assistant:
            if let time = message.timestamp ?? entry.timestamp { lastMessageTime = max(lastMessageTime ?? time, time) }
        case .label(let target, let label): labels[target] = label
        case .sessionInfo(let name): self.name = Self.normalizedName(name)
        case .leaf(let target):
            // A target that does not exist could not be continued: the leaf is then this entry, as with any other type.
            if target.map(contains) ?? true { leafID = target }
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

    // MARK: Questions

    public func entry(_ id: EntryID) -> Entry? { indexByID[id].map { entries[Int($0)] } }

    /// The entry's place in file order.
    public func index(of id: EntryID) -> Int? { indexByID[id].map(Int.init) }

    public func contains(_ id: EntryID) -> Bool { indexByID[id] != nil }

    /// The places of the entries from the root to `leaf`, in that order; empty for nil or an unknown id.
    ///
    /// A missing parent ends the walk, and so does an entry that was there already.
    public func branch(to leaf: EntryID?) -> [Int] {
        guard let leaf, let last = indexByID[leaf] else { return [] }
        var path: [Int] = []
        var seen: Set<Int32> = []
        var index = last
        while index != Self.noParent {
            if hasForwardLinks, !seen.insert(index).inserted { break }
            path.append(Int(index))
            index = parents[Int(index)]
        }
        path.reverse()
        return path
    }

    public var summary: SessionSummary {
        let settings = settings(of: leafID)
        return SessionSummary(
            id: header.id, name: name, createdAt: header.timestamp, updatedAt: updatedAt, leafID: leafID,
            entryCount: entries.count, model: settings.model, thinkingLevel: settings.thinkingLevel, usage: usage,
            metadata: metadata)
    }

    /// The model and the thinking level at a leaf. Walks towards the root only as far as it must.
    public func settings(of leaf: EntryID?) -> BranchSettings {
        var settings = BranchSettings()
        var needsModel = true
        var needsLevel = true
        var needsTools = true
        var remaining = entries.count
        var index = leaf.flatMap { indexByID[$0] } ?? Self.noParent
        while index != Self.noParent, remaining > 0, needsModel || needsLevel || needsTools {
            let entry = entries[Int(index)]
            switch entry.body {
            case .thinkingLevelChange(let level) where needsLevel:
                settings.thinkingLevel = level
                needsLevel = false
            case .modelChange(let model) where needsModel:
                settings.model = model
                needsModel = false
            case .message(let message) where needsModel && message.role == .assistant:
                settings.model = entry.assistantModel
                needsModel = false
            case .activeToolsChange(let names) where needsTools:
                settings.activeToolNames = names
                needsTools = false
            default: break
            }
            index = parents[Int(index)]
            remaining -= 1
        }
        return settings
    }
}

/// What entries on a branch have set for the next model call.
public struct BranchSettings: Sendable, Equatable {
    public var model: ModelReference?
    public var thinkingLevel = "off"
    /// Nil: all tools.
    public var activeToolNames: [String]?

    public init() {}
}

extension Entry {
    /// The model that an assistant message came from.
    var assistantModel: ModelReference? {
        guard let json = messageJSON.flatMap({ try? JSONValue(parsing: $0) }),
            let provider = json["provider"]?.string, let model = json["model"]?.string
        else { return nil }
        return ModelReference(provider: provider, id: model)
    }
}
