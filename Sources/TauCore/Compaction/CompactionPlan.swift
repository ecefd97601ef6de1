/// What a compaction of a branch will summarise, and what it will keep.
///
/// Pi's rules (prepareCompaction), but for one: it begins where the previous compaction began to keep, not behind that
/// compaction itself. What the previous one kept is summarised by the next, instead of vanishing.
public struct CompactionPlan: Sendable {
    /// The first entry that stays in the context.
    public var firstKeptEntryID: EntryID
    /// Messages that the summary will stand for.
    public var summarized: [ModelContext.Item]
    /// Where the cut splits a turn: the turn's messages before the cut, summarised apart.
    public var turnPrefix: [ModelContext.Item]
    /// What the previous compaction said; the new summary continues it.
    public var previousSummary: String?
    /// Tokens of the context before.
    public var tokensBefore: Int
    /// The files that the summarised tool calls, and those of earlier summaries, have touched.
    public var files: FileActivity
    /// The prompt as it stands at the cut, which the compaction must carry on.
    public var systemMessage: JSONValue?
}

extension SessionTree {
    /// Plans the compaction of the branch that ends at `leaf`; nil where nothing would be summarised, or the branch ends with a
    /// compaction already.
    public func compactionPlan(at leaf: EntryID?, keepRecentTokens: Int) -> CompactionPlan? {
        let path = branch(to: leaf)
        guard let last = path.last else { return nil }
        if case .compaction = entries[last].body { return nil }
        let previous = path.lastIndex { if case .compaction = entries[$0].body { true } else { false } }
        var start = 0
        if let previous { start = firstKept(by: previous, in: path) ?? previous + 1 }
        let cut = CompactionCut(self, path, from: start, keepRecentTokens: keepRecentTokens)
        let summarizedEnd = cut.turnStart ?? cut.firstKept

        var plan = CompactionPlan(
            firstKeptEntryID: entries[path[cut.firstKept]].id,
            summarized: messages(path, start..<summarizedEnd),
            turnPrefix: messages(path, summarizedEnd..<cut.firstKept),
            previousSummary: nil, tokensBefore: TokenEstimate.tokens(of: context(of: leaf)), files: FileActivity(),
            systemMessage: systemMessage(path[...]))
        if let previous, case .compaction(let compaction) = entries[path[previous]].body {
            plan.previousSummary = FileActivity.withoutLists(compaction.summary)
            plan.files.add(details: compaction.details)
            plan.summarized = retained(by: compaction, entries[path[previous]].id) + plan.summarized
        }
        for item in plan.summarized + plan.turnPrefix { plan.files.add(item) }
        return plan.summarized.isEmpty && plan.turnPrefix.isEmpty ? nil : plan
    }

    private func firstKept(by compactionPlace: Int, in path: [Int]) -> Int? {
        guard case .compaction(let compaction) = entries[path[compactionPlace]].body, compaction.retainedTail == nil,
            let id = compaction.firstKeptEntryID
        else { return nil }
        return path[..<compactionPlace].firstIndex { entries[$0].id == id }
    }

    /// Messages that a compaction carries along itself.
    private func retained(by compaction: Compaction, _ id: EntryID) -> [ModelContext.Item] {
        (compaction.retainedTail ?? []).map { message in
            let role = message["role"]?.string.flatMap(MessageRole.init) ?? .other
            return ModelContext.Item(role: role, json: message.serialized[...], entryID: id)
        }
    }

    /// The messages of a part of a branch, as the whole branch's edits leave them; prompts are not among them.
    private func messages(_ path: [Int], _ range: Range<Int>) -> [ModelContext.Item] {
        let inside = Set(path[range].map { entries[$0].id })
        return editedMessages(on: path[...]).filter { inside.contains($0.entryID) && $0.role != .system }
    }
}

/// Where a branch is cut: what is before is summarised, what is behind stays.
struct CompactionCut {
    /// Places on the branch.
    var firstKept: Int
    /// Where the turn begins that the cut splits; nil if it splits none.
    var turnStart: Int?

    init(_ tree: SessionTree, _ path: [Int], from start: Int, keepRecentTokens: Int) {
        func entry(_ place: Int) -> Entry { tree.entries[path[place]] }
        let candidates = (start..<path.count).filter { entry($0).canBeFirstKept }
        guard var cut = candidates.first else {
            firstKept = start
            return
        }
        var tokens = 0
        for place in (start..<path.count).reversed() {
            guard let role = entry(place).role,
                let json = entry(place).messageJSON.flatMap({ try? JSONValue(parsing: $0) })
            else { continue }
            tokens += TokenEstimate.tokens(of: role, json)
            guard tokens >= keepRecentTokens else { continue }
            // Where only results of tools are behind it, the last place that can be cut: anything earlier keeps more.
            cut = candidates.first { $0 >= place } ?? candidates.last ?? cut
            break
        }
        // Settings and labels directly before go with what they belong to.
        while cut > start, entry(cut - 1).role == nil, !entry(cut - 1).isCompaction { cut -= 1 }
        firstKept = cut
        if entry(cut).role != .user { turnStart = (start...cut).last { entry($0).startsTurn } }
    }
}

extension Entry {
    fileprivate var isCompaction: Bool { if case .compaction = body { true } else { false } }

    /// A result must not lose its call.
    fileprivate var canBeFirstKept: Bool {
        switch body {
        case .message(let message): message.role != .toolResult
        case .branchSummary, .customMessage: true
        default: false
        }
    }

    fileprivate var startsTurn: Bool {
        switch body {
        case .message(let message): message.role == .user || message.role == .bashExecution
        case .branchSummary, .customMessage: true
        default: false
        }
    }
}
