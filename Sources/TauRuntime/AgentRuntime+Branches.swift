internal import Logging
public import TauCore

/// Moving the leaf, forking, compacting: work on the tree that no run does.
extension AgentRuntime {
    /// Moves the leaf to an entry, or before the first one; with `summarize` a summary of the branch that is left is put there.
    ///
    /// Refused with `runInProgress` while a run is at work.
    public func branch(
        _ id: SessionID, to target: EntryID?, summarize: Bool, instructions: String?
    ) async throws(RuntimeError) -> SessionView {
        try await withUpkeep(of: id) { session throws(RuntimeError) in
            guard target.map({ target in session.read { $0.contains(target) } }) ?? true else {
                throw RuntimeError(.notFound, "There is no such entry.")
            }
            let leaf = session.read { $0.leafID }
            if leaf != target {
                var move = NewEntry.leaf(target: target)
                if summarize, let summary = try await summary(leaving: leaf, for: target, of: session, instructions) {
                    move = .branchSummary(summary)
                }
                _ = try await append([move], to: session, at: .some(target))
            }
            return SessionView(summary: session.summary, activeRun: nil)
        }
    }

    private func summary(
        leaving leaf: EntryID?, for target: EntryID?, of session: LiveSession, _ instructions: String?
    ) async throws(RuntimeError) -> BranchSummary? {
        let summarizer = try summarizer(for: session, at: leaf)
        let budget = summarizer.model.contextWindow - summarizer.settings.reserveTokens
        guard let plan = session.read({ $0.branchSummaryPlan(leaving: leaf, for: target, budget: budget) }) else {
            return nil
        }
        return try await modeling { () throws(ProviderError) in
            try await summarizer.branchSummary(plan, instructions: instructions)
        }
    }

    /// Makes a session of the branch that ends at an entry, or at the leaf.
    public func fork(
        _ id: SessionID, at entry: EntryID?, name: String?, owner: Owner = .local, attempt: RequestAttempt? = nil
    ) async throws(RuntimeError) -> SessionView {
        try requireOpen()
        if let made = try await madeSession(by: attempt) { return made }
        let time = environment.now()
        let file = try await withReading(id) { session throws(RuntimeError) in
            let fork = session.read { tree -> (SessionFork, SessionHeader)? in
                if let entry, !tree.contains(entry) { return nil }
                let fork = SessionFork(
                    of: tree, at: entry ?? tree.leafID, time: time, identifiers: environment.identifiers)
                return (fork, tree.header)
            }
            guard let (fork, original) = fork else { throw RuntimeError(.notFound, "There is no such entry.") }
            let header = SessionHeader(
                id: newSessionID(for: attempt, at: time), timestamp: time,
                workingDirectory: original.workingDirectory, parentSession: "\(id).jsonl")
            var entries = fork.entries
            if let name {
                let id = environment.identifiers.entryID { id in entries.contains { $0.id == id } }
                entries.append(Entry(.sessionInfo(name: name), id: id, parentID: entries.last?.id, timestamp: time))
            }
            return SessionFile(header: header, entries: entries)
        }
        return try await create(file, owner: owner)
    }

    /// Summarises the older part of the session's branch now; answers the compaction's entry.
    ///
    /// Refused with `runInProgress` while a run is at work, and with `conflict` where there is nothing to summarise.
    public func compact(_ id: SessionID, instructions: String?) async throws(RuntimeError) -> Entry {
        try await withUpkeep(of: id) { session throws(RuntimeError) in
            let leaf = session.read { $0.leafID }
            let summarizer = try summarizer(for: session, at: leaf)
            let keep = summarizer.settings.keepRecentTokens
            guard let plan = session.read({ $0.compactionPlan(at: leaf, keepRecentTokens: keep) }) else {
                throw RuntimeError(
                    .conflict,
                    "There is nothing to compact: the last \(keep) tokens are always kept, and nothing is older.")
            }
            var usage = Usage()
            let compaction = try await modeling { () throws(ProviderError) in
                try await summarizer.compaction(plan, instructions: instructions, usage: &usage)
            }
            return try await append([.compaction(compaction)], to: session)[0]
        }
    }

    // MARK: Parts

    /// Holds the session against runs for the time of `body`.
    private func withUpkeep<Value: Sendable>(
        of id: SessionID, _ body: (LiveSession) async throws(RuntimeError) -> Value
    ) async throws(RuntimeError) -> Value {
        try requireOpen()
        return try await withSession(id) { session throws(RuntimeError) in
            guard session.claimForUpkeep() else {
                throw RuntimeError(.runInProgress, "The session has a run at work. Wait for it, or cancel it.")
            }
            defer { session.releaseFromUpkeep() }
            return try await body(session)
        }
    }

    private func summarizer(for session: LiveSession, at leaf: EntryID?) throws(RuntimeError) -> Summarizer {
        let settings = session.read { $0.settings(of: leaf) }
        let prompt = UserMessage(content: [.text("Summarise.")], timestamp: environment.now())
        let selection: ModelSelection
        // The model that wrote the branch knows its words, whoever chose it.
        if let known = usableModel(of: settings) {
            selection = ModelSelection(model: known)
        } else {
            selection = try chooseModel(.automatic, settings, prompt) { 0 }
        }
        let route = try route(selection, for: session, hasBudget: false)
        return Summarizer(model: route.model, provider: route.provider, limits: limits, environment: environment)
    }

    private func modeling<Value>(
        _ body: () async throws(ProviderError) -> Value
    ) async throws(RuntimeError) -> Value {
        do throws(ProviderError) {
            return try await body()
        } catch {
            if error.code == .budgetExceeded { throw RuntimeError(.budgetExceeded, error.message) }
            throw RuntimeError(.modelUnavailable, "The model made no summary: \(error.message)")
        }
    }
}
