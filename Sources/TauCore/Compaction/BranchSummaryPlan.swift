/// What a summary of a branch that is left will tell.
public struct BranchSummaryPlan: Sendable {
    /// The leaf that is left.
    public var fromID: EntryID
    /// The messages that fit into the model's window, in order.
    public var items: [ModelContext.Item]
    public var files: FileActivity
}

extension SessionTree {
    /// Plans the summary of what lies between `target` and the leaf; nil if there is nothing to tell.
    ///
    /// Pi's rules: everything behind the last entry that both branches share, the newest first, as far as `budget` tokens go.
    /// Results of tools are left out; an earlier summary is taken while there is a tenth of the budget left.
    public func branchSummaryPlan(leaving leaf: EntryID?, for target: EntryID?, budget: Int) -> BranchSummaryPlan? {
        guard let leaf else { return nil }
        let path = branch(to: leaf)
        let shared = zip(path, branch(to: target)).prefix { $0 == $1 }.count
        let left = Set(path[shared...].map { entries[$0].id })
        var plan = BranchSummaryPlan(fromID: leaf, items: [], files: FileActivity())
        for place in path[shared...] {
            switch entries[place].body {
            case .branchSummary(let summary): plan.files.add(details: summary.details)
            case .compaction(let compaction): plan.files.add(details: compaction.details)
            default: break
            }
        }
        var tokens = 0
        for item in summarizableMessages(on: path[shared...]).reversed() where left.contains(item.entryID) {
            guard let json = try? JSONValue(parsing: item.json) else { continue }
            let more = TokenEstimate.tokens(of: item.role, json)
            if tokens + more > budget {
                let isSummary = item.role == .branchSummary || item.role == .compactionSummary
                if isSummary, tokens * 10 < budget * 9 { plan.items.append(item) }
                break
            }
            tokens += more
            plan.items.append(item)
            plan.files.add(item)
        }
        plan.items.reverse()
        return plan.items.isEmpty ? nil : plan
    }
}
