import TauCore

/// Any bytes are a session file or not; nothing crashes, and what is a session reads back the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSessionFile(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    let name = SessionID(unchecked: "fuzzed")
    _ = SessionCheck(bytes, name: name)
    if let repair = try? SessionRepair(bytes, name: name, identifiers: IdentifierSource()) {
        precondition(SessionCheck(repair.bytes, name: name).worst != .error, "what is repaired is in order")
    }
    guard let file = try? SessionFile(parsing: bytes, limits: SessionFile.Limits(maxLineBytes: 4096)) else { return 0 }
    let tree = SessionTree(file)
    let leaves = [tree.leafID] + tree.entries.suffix(4).map(\.id)
    for leaf in leaves {
        let context = tree.context(of: leaf)
        _ = Conversation(context)
        _ = TokenEstimate.tokens(of: context)
    }
    if let plan = tree.compactionPlan(at: tree.leafID, keepRecentTokens: count % 50) {
        _ = SummaryPrompt.history(Transcript(plan.summarized), previous: plan.previousSummary, instructions: nil)
    }
    _ = tree.branchSummaryPlan(leaving: tree.leafID, for: tree.entries.first?.id, budget: 100)
    let fork = SessionFork(of: tree, at: tree.leafID, time: Timestamp(milliseconds: 0), identifiers: IdentifierSource())
    let forked = SessionFile(header: file.header, entries: fork.entries)
    precondition(
        SessionCheck(forked.bytes, name: nil).findings.allSatisfy { $0.kind != .orphan && $0.kind != .forwardParent },
        "a fork is a chain")
    for node in tree.nodes { _ = node.timestamp?.description }
    _ = tree.summary.createdAt.description + tree.summary.updatedAt.description
    // Whatever a file leaves behind, a run appends at its leaf.
    var continued = tree
    let next = IdentifierSource(random: { 0 }).entryID { tree.contains($0) }
    if !tree.contains(next) {
        continued.append(
            Entry(.sessionInfo(name: "x"), id: next, parentID: tree.leafID, timestamp: Timestamp(milliseconds: 0)))
        precondition(continued.leafID == next, "the new entry is the leaf")
    }
    guard let again = try? SessionFile(parsing: file.bytes, limits: SessionFile.Limits(maxLineBytes: 4096)) else {
        fatalError("Invariant: what was read as a session is a session")
    }
    precondition(again.bytes == file.bytes && again.tornTail.isEmpty, "a second reading changes nothing")
    precondition(again.entries.map(\.line) == file.entries.map(\.line), "the entries stay")
    precondition(again.entries.map(\.parentID) == file.entries.map(\.parentID), "the links stay")
    return 0
}
