/// A valid session made of what can be read in a file that is not.
///
/// Every entry that can be read is kept, and every line that needs no change byte for byte. Lines that cannot be read are left
/// out; they stay in the original.
public struct SessionRepair: Sendable {
    public private(set) var bytes: [UInt8] = []
    /// What was done, one sentence each.
    public private(set) var actions: [String] = []

    /// Repairs a file's content. `name` is the id that the file's name says; a file without a header gets one with it.
    ///
    /// Throws where there is nothing to make a session of.
    public init(
        _ content: [UInt8], name: SessionID, limits: SessionFile.Limits = SessionFile.Limits(),
        identifiers: IdentifierSource = IdentifierSource()
    ) throws(EntryError) {
        var entries: [Entry]
        var header: SessionHeader
        if let file = try? SessionFile(parsing: content, limits: limits, identifiers: identifiers) {
            header = file.header
            entries = file.entries
            if file.originalVersion < SessionHeader.currentVersion {
                actions.append("version \(file.originalVersion) was migrated")
            }
            if !file.findings.isEmpty {
                actions.append("\(file.findings.count) lines that cannot be read were left out")
            }
            if !file.tornTail.isEmpty { actions.append("the torn end was cut off") }
        } else {
            let lines = SessionFile.splitLines(content).map { content[$0] }
            entries = lines.compactMap { try? Entry(line: $0) }
            guard let first = entries.first else {
                throw EntryError(reason: "there is neither a header nor an entry in it")
            }
            header = SessionHeader(
                id: name, timestamp: first.timestamp ?? Timestamp(milliseconds: 0), workingDirectory: "")
            actions.append("a header was made; \(lines.count - entries.count) other lines were left out")
        }
        if header.id != name, let renamed = Self.renamed(header, name) {
            header = renamed
            actions.append("the header's id became \(name), as the file is called")
        }
        uniteTwins(&entries, identifiers)
        detachOrphans(&entries)
        entries = ordered(entries)
        bytes = SessionFile(header: header, entries: entries).bytes
    }

    private static func renamed(_ header: SessionHeader, _ name: SessionID) -> SessionHeader? {
        guard var object = (try? JSONValue(parsing: header.line))?.object else { return nil }
        object.update("id", to: .string(name.rawValue))
        return try? SessionHeader(line: JSONValue.object(object).serialized[...])
    }

    /// A line that stands there twice is there once; of different entries with one id the last keeps it, as readers see it.
    private mutating func uniteTwins(_ entries: inout [Entry], _ identifiers: IdentifierSource) {
        var taken = Set(entries.map(\.id))
        guard taken.count < entries.count else { return }
        var last: [EntryID: Int] = [:]
        for (index, entry) in entries.enumerated() { last[entry.id] = index }
        var seen: Set<ArraySlice<UInt8>> = []
        var (dropped, renamed) = (0, 0)
        var result: [Entry] = []
        for (index, entry) in entries.enumerated() {
            if !seen.insert(entry.line).inserted {
                dropped += 1
                continue
            }
            let isLast = last[entry.id].map { $0 == index || entries[$0].line == entry.line } ?? true
            guard !isLast else {
                result.append(entry)
                continue
            }
            let id = identifiers.entryID { taken.contains($0) }
            taken.insert(id)
            renamed += 1
            result.append(entry.changing("id", to: .string(id.rawValue)))
        }
        entries = result
        if dropped > 0 { actions.append("\(dropped) lines that were there twice are there once") }
        if renamed > 0 { actions.append("\(renamed) entries got a new id, for a later one has theirs") }
    }

    private mutating func detachOrphans(_ entries: inout [Entry]) {
        let ids = Set(entries.map(\.id))
        var count = 0
        for index in entries.indices {
            guard let parent = entries[index].parentID, !ids.contains(parent) else { continue }
            entries[index] = entries[index].changing("parentId", to: .null)
            count += 1
        }
        if count > 0 { actions.append("\(count) entries whose parent does not exist became roots") }
    }

    /// Children come behind their parents, otherwise in the file's order; a circle is cut at its first entry.
    private mutating func ordered(_ entries: [Entry]) -> [Entry] {
        var result: [Entry] = []
        result.reserveCapacity(entries.count)
        var placed: Set<EntryID> = []
        /// Entries that wait for their parent, by it.
        var waiting: [EntryID: [Int]] = [:]
        var isDone = [Bool](repeating: false, count: entries.count)
        func place(_ entry: Entry, at index: Int) {
            var stack = [(entry, index)]
            while let (entry, index) = stack.popLast() {
                result.append(entry)
                placed.insert(entry.id)
                isDone[index] = true
                for child in (waiting.removeValue(forKey: entry.id) ?? []).reversed() where !isDone[child] {
                    stack.append((entries[child], child))
                }
            }
        }
        var moved = 0
        for (index, entry) in entries.enumerated() {
            if let parent = entry.parentID, !placed.contains(parent) {
                waiting[parent, default: []].append(index)
                moved += 1
            } else {
                place(entry, at: index)
            }
        }
        var cut = 0
        for (index, entry) in entries.enumerated() where !isDone[index] {
            cut += 1
            place(entry.changing("parentId", to: .null), at: index)
        }
        if moved > 0 { actions.append("\(moved) entries that stood before their parents were moved behind them") }
        if cut > 0 { actions.append("\(cut) circles of parents were cut open") }
        return result
    }
}
