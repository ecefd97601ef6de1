public import TauCore

/// Entries as a hostile day would make them: every type, hanging on any earlier entry.
public enum RandomEntries {
    /// An entry that can be appended to the tree. `number` makes its id.
    public static func entry(
        _ number: Int, in tree: SessionTree, using generator: inout SeededGenerator
    ) -> Entry {
        let time = Timestamp(milliseconds: Int64.random(in: 0..<2_000_000_000_000, using: &generator))
        // Mostly at the leaf, as sessions grow; sometimes elsewhere, or as a new root.
        let parent: EntryID? =
            switch Int.random(in: 0..<10, using: &generator) {
            case 0: nil
            case 1, 2: tree.entries.randomElement(using: &generator)?.id
            default: tree.leafID
            }
        return Entry(
            content(number, at: time, in: tree, using: &generator), id: EntryID(unchecked: "e\(number)"),
            parentID: parent, timestamp: time)
    }

    private static func content(
        _ number: Int, at time: Timestamp, in tree: SessionTree, using generator: inout SeededGenerator
    ) -> NewEntry {
        let any = tree.entries.randomElement(using: &generator)?.id ?? EntryID(unchecked: "nothing")
        let model = ModelReference(provider: "p\(number % 3)", id: "m\(number % 5)")
        switch Int.random(in: 0..<9, using: &generator) {
        case 0, 1:
            return .message(.user(UserMessage(content: [.text("user says \(number)")], timestamp: time)))
        case 2, 3:
            let usage = Usage(input: number, output: number % 7)
            return .message(
                .assistant(
                    AssistantMessage(
                        content: [.text("answer \(number)")], api: "x", model: model, usage: usage, stopReason: .stop,
                        timestamp: time)))
        case 4: return .thinkingLevelChange(number.isMultiple(of: 2) ? .high : .low)
        case 5: return .modelChange(model)
        case 6: return .label(target: any, label: number.isMultiple(of: 3) ? nil : "label \(number)")
        case 7: return .sessionInfo(name: number.isMultiple(of: 4) ? "" : "name \(number)")
        default: return .custom(type: SessionTotals.metadataType, data: ["number": .integer(number)])
        }
    }
}
