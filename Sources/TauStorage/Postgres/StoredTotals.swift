internal import TauCore

/// What a list shows of a session, as it stands in the table: exactly, whatever a name or metadata hold.
struct StoredTotals {
    var totals = SessionTotals()
    /// Those of the branch that ends at the leaf.
    var settings = BranchSettings()

    init() {}

    init(of tree: SessionTree) {
        totals = tree.totals
        settings = tree.settings(of: tree.leafID)
    }

    var serialized: [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("entryCount", totals.entryCount)
            writer.member("leafId", orNull: totals.leafID?.rawValue)
            writer.member("name", orNull: totals.name)
            writer.key("metadata")
            writer.value(totals.metadata)
            writer.key("usage")
            totals.usage.write(to: &writer)
            writer.member("lastMessageAt", orNull: totals.lastMessageTime.map { String($0.milliseconds) })
            writer.member("provider", ifPresent: settings.model?.provider)
            writer.member("model", ifPresent: settings.model?.id)
            writer.member("thinkingLevel", settings.thinkingLevel)
        }
        return writer.bytes
    }

    init(parsing bytes: [UInt8]) {
        let json = try? JSONValue(parsing: bytes)
        totals = SessionTotals(
            entryCount: json?["entryCount"]?.integer ?? 0,
            leafID: json?["leafId"]?.string.map { EntryID(unchecked: $0) }, name: json?["name"]?.string,
            metadata: json?["metadata"]?.object ?? JSONObject(), usage: Usage(json: json?["usage"]),
            lastMessageTime: json?["lastMessageAt"]?.string.flatMap { Int64($0) }.map { Timestamp(milliseconds: $0) })
        settings.thinkingLevel = json?["thinkingLevel"]?.string ?? settings.thinkingLevel
        if let provider = json?["provider"]?.string, let model = json?["model"]?.string {
            settings.model = ModelReference(provider: provider, id: model)
        }
    }

    /// Adds the next entry; false where it does not simply go on at the leaf: then only the whole session tells.
    mutating func add(_ entry: Entry) -> Bool {
        guard entry.parentID == totals.leafID else { return false }
        if case .leaf = entry.body { return false }
        totals.add(entry) { _ in false }
        settings.apply(entry)
        return true
    }
}
