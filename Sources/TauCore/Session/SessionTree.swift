/// The entries of one session and what follows from them: parents, leaf, labels, name, totals.
///
/// Adding an entry costs the same however long the session is.
public struct SessionTree: Sendable {
    public let header: SessionHeader
    /// In file order.
    public private(set) var entries: [Entry] = []
    public private(set) var labels: [EntryID: String] = [:]
    public private(set) var totals = SessionTotals()

    /// The last entry wins where an id occurs twice, as in Pi.
    private var indexByID: [EntryID: Int32] = [:]
    /// The index of each entry's parent, `noParent` for roots and orphans.
    private var parents: [Int32] = []
    /// Whether some parent stands behind its child: only then can the links form a circle.
    private var hasForwardLinks = false

    private static let noParent: Int32 = -1

    public init(_ file: SessionFile) {
        header = file.header
        entries = file.entries
        indexByID.reserveCapacity(entries.count)
        for index in entries.indices { indexByID[entries[index].id] = Int32(index) }
        parents.reserveCapacity(entries.count)
        for index in entries.indices {
            let parent = parentIndex(of: index)
            if Int(parent) >= index { hasForwardLinks = true }
            parents.append(parent)
            absorb(entries[index])
        }
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
    }

    private func parentIndex(of index: Int) -> Int32 {
        guard let parent = entries[index].parentID else { return Self.noParent }
        return indexByID[parent] ?? Self.noParent
    }

    private mutating func absorb(_ entry: Entry) {
        totals.add(entry, exists: contains)
        if case .label(let target, let label) = entry.body { labels[target] = label }
    }

    // MARK: Questions

    /// The entry at which the next one is added; nil for the place before the first.
    public var leafID: EntryID? { totals.leafID }
    public var name: String? { totals.name }
    public var metadata: JSONObject { totals.metadata }
    public var usage: Usage { totals.usage }
    /// The latest time of a user's or an assistant's message; the header's where there is none.
    public var updatedAt: Timestamp { totals.lastMessageTime ?? header.timestamp }

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
        SessionSummary(
            id: header.id, createdAt: header.timestamp, totals: totals, settings: settings(of: leafID))
    }

    /// The model and the thinking level at a leaf. Walks towards the root only as far as it must.
    public func settings(of leaf: EntryID?) -> BranchSettings {
        var settings = BranchSettings()
        var needsModel = true
        var needsAuthor = true
        var needsLevel = true
        var needsTools = true
        var remaining = entries.count
        var index = leaf.flatMap { indexByID[$0] } ?? Self.noParent
        while index != Self.noParent, remaining > 0, needsModel || needsAuthor || needsLevel || needsTools {
            let entry = entries[Int(index)]
            switch entry.body {
            case .thinkingLevelChange(let level) where needsLevel:
                settings.thinkingLevel = level
                needsLevel = false
            case .modelChange(let model, let isAutomatic) where needsModel || needsAuthor:
                if needsModel { settings.model = model }
                settings.isModelAutomatic = isAutomatic
                needsModel = false
                needsAuthor = false
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
    /// The last model change was Tau's choice; the next message is chosen for anew.
    public var isModelAutomatic = false
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
