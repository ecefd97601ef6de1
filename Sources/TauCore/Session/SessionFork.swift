/// The entries of a new session that begins as a branch of another.
///
/// Pi's rules: the path from the root to an entry, with ids and times as they are. Labels on the path are taken out and made
/// anew behind the last entry, for what they label; moves of the leaf are taken out. Lines that need no change stay byte for byte.
public struct SessionFork: Sendable {
    public private(set) var entries: [Entry] = []

    /// `time` and `identifiers` are for the labels that are made anew.
    public init(of tree: SessionTree, at entry: EntryID?, time: Timestamp, identifiers: IdentifierSource) {
        var taken: Set<EntryID> = []
        /// What stands in the place of a removed entry: the next one that stays.
        var successors: [EntryID: EntryID] = [:]
        var removed: [EntryID] = []
        for place in tree.branch(to: entry) {
            let original = tree.entries[place]
            switch original.body {
            case .label, .leaf:
                removed.append(original.id)
                continue
            default: break
            }
            for id in removed { successors[id] = original.id }
            removed = []
            entries.append(Self.chained(original, behind: entries.last?.id))
            taken.insert(original.id)
        }
        entries = entries.map { Self.remapped($0, successors) }
        for original in entries {
            guard let label = tree.labels[original.id] else { continue }
            let id = identifiers.entryID { taken.contains($0) }
            taken.insert(id)
            entries.append(
                Entry(.label(target: original.id, label: label), id: id, parentID: entries.last?.id, timestamp: time))
        }
    }

    private static func chained(_ entry: Entry, behind parent: EntryID?) -> Entry {
        guard entry.parentID != parent else { return entry }
        return entry.changing("parentId", to: parent.map { .string($0.rawValue) } ?? .null)
    }

    /// A compaction that began to keep at a removed entry begins at the next one.
    private static func remapped(_ entry: Entry, _ successors: [EntryID: EntryID]) -> Entry {
        guard case .compaction(let compaction) = entry.body, let kept = compaction.firstKeptEntryID,
            let successor = successors[kept]
        else { return entry }
        return entry.changing("firstKeptEntryId", to: .string(successor.rawValue))
    }
}
