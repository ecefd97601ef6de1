internal import Synchronization
public import TauCore
internal import Tracing

/// One open session: its tree in memory, and the queue of what is to be appended.
///
/// While one append is on its way to the store, further ones gather and go together as the next: the caller that has
/// waited longest takes them there for all.
public final class LiveSession: Sendable {
    private struct Pending {
        var batch: Batch
        var continuation: CheckedContinuation<Turn, Never>
    }

    /// What goes to the store together.
    private struct Batch {
        var entries: [Entry]
        var run: RunRecord?
    }

    /// Who alone may move the leaf.
    private enum Occupant: Equatable {
        case run(RunID)
        /// A branch or a compaction that was asked for.
        case upkeep
    }

    /// What a caller is to do with its entries.
    private enum Turn: Sendable {
        /// Take them, and all that wait behind them, to the store.
        case lead(Batch)
        case stored([Entry])
        case failed(StoreError)
    }

    private struct State {
        var tree: SessionTree
        /// The parent of the next entry, counting entries that wait.
        var nextLeaf: EntryID?
        /// Ids of entries that are not in the tree yet.
        var waitingIDs: Set<EntryID> = []
        var waiting: [Pending] = []
        var isStoring = false
        var occupant: Occupant?
        /// Of the session's file.
        var byteCount: Int
        var contexts = ContextCache()
        var conversations = ConversationCache()
    }

    public let id: SessionID
    /// To whom it belongs.
    let owner: Owner
    private let store: any SessionStore
    private let environment: RuntimeEnvironment
    private let state: Mutex<State>

    package init(file: SessionFile, owner: Owner = .local, store: any SessionStore, environment: RuntimeEnvironment) {
        id = file.header.id
        self.owner = owner
        self.store = store
        self.environment = environment
        let tree = SessionTree(file)
        state = Mutex(State(tree: tree, nextLeaf: tree.leafID, byteCount: file.bytes.count))
    }

    var summary: SessionSummary {
        var summary = read { $0.summary }
        summary.owner = owner
        return summary
    }

    /// Reads the tree as it is on disk. Appends wait meanwhile: be brief.
    public func read<Value>(_ body: (borrowing SessionTree) -> sending Value) -> sending Value {
        state.withLock { body($0.tree) }
    }

    /// What a model is sent at the leaf.
    package func context() -> ModelContext {
        state.withLock { state in state.contexts.context(of: state.tree.leafID, in: state.tree) }
    }

    /// The same in the form that providers take. What was read for one call is not read again for the next.
    func conversation() -> (context: ModelContext, conversation: Conversation) {
        var (context, generation, cache) = state.withLock { state in
            let context = state.contexts.context(of: state.tree.leafID, in: state.tree)
            // Taken away, so that it grows in its place.
            defer { state.conversations = ConversationCache() }
            return (context, state.contexts.generation, state.conversations)
        }
        // Here, because nobody who appends or looks should wait while a long session is read.
        let conversation = cache.conversation(of: context, generation: generation)
        state.withLock { $0.conversations = cache }
        return (context, conversation)
    }

    /// Bytes of the session's file, and of what is kept of its context: roughly those of its memory.
    var byteCount: Int { state.withLock { $0.byteCount + $0.conversations.byteCount } }

    // MARK: Who has it

    /// Gives the session to a run, if nobody has it.
    func claim(for run: RunID) -> Bool { claim(for: .run(run)) }

    func release(_ run: RunID) { release(.run(run)) }

    /// Gives the session to a caller that moves the leaf without a run, if nobody has it.
    func claimForUpkeep() -> Bool { claim(for: .upkeep) }

    func releaseFromUpkeep() { release(.upkeep) }

    private func claim(for occupant: Occupant) -> Bool {
        state.withLock { state in
            guard state.occupant == nil else { return false }
            state.occupant = occupant
            return true
        }
    }

    private func release(_ occupant: Occupant) {
        state.withLock { if $0.occupant == occupant { $0.occupant = nil } }
    }

    public var activeRun: RunID? {
        state.withLock { if case .run(let id) = $0.occupant { id } else { nil } }
    }

    // MARK: Appending

    /// Adds entries behind each other, the first one at the leaf or at `parent`, and returns once they are durable.
    ///
    /// `parent` is an entry of this session, or `.some(nil)` for a new root. `run` makes the state of a run that becomes true with the
    /// entries.
    public func append(
        _ new: [NewEntry], at parent: EntryID?? = nil, run: (([Entry]) -> RunRecord)? = nil
    ) async throws(StoreError) -> [Entry] {
        guard !new.isEmpty else { return [] }
        let immediate = state.withLock { state -> Batch? in
            state.isStoring ? nil : lead(new, parent, run, &state)
        }
        let turn: Turn
        if let immediate {
            turn = .lead(immediate)
        } else {
            turn = await withCheckedContinuation { continuation in
                let batch = state.withLock { state -> Batch? in
                    guard state.isStoring else { return lead(new, parent, run, &state) }
                    let batch = makeBatch(new, parent, run, &state)
                    state.waiting.append(Pending(batch: batch, continuation: continuation))
                    return nil
                }
                if let batch { continuation.resume(returning: .lead(batch)) }
            }
        }
        switch turn {
        case .lead(let batch): return try await store(batch)
        case .stored(let entries): return entries
        case .failed(let error): throw error
        }
    }

    private func lead(
        _ new: [NewEntry], _ parent: EntryID??, _ run: (([Entry]) -> RunRecord)?, _ state: inout State
    ) -> Batch {
        state.isStoring = true
        return makeBatch(new, parent, run, &state)
    }

    private func makeBatch(
        _ new: [NewEntry], _ parent: EntryID??, _ run: (([Entry]) -> RunRecord)?, _ state: inout State
    ) -> Batch {
        let entries = makeEntries(new, parent, &state)
        return Batch(entries: entries, run: run?(entries))
    }

    private func makeEntries(_ new: [NewEntry], _ parent: EntryID??, _ state: inout State) -> [Entry] {
        let time = environment.now()
        var leaf = parent ?? state.nextLeaf
        var entries: [Entry] = []
        entries.reserveCapacity(new.count)
        for content in new {
            let id = environment.identifiers.entryID { state.tree.contains($0) || state.waitingIDs.contains($0) }
            state.waitingIDs.insert(id)
            if case .leaf(let target) = content {
                entries.append(Entry(content, id: id, parentID: target, timestamp: time))
                leaf = target
            } else {
                entries.append(Entry(content, id: id, parentID: leaf, timestamp: time))
                leaf = id
            }
        }
        state.nextLeaf = leaf
        return entries
    }

    /// Takes the caller's entries and all that wait to the store, and hands the lead on.
    private func store(_ own: Batch) async throws(StoreError) -> [Entry] {
        let (followers, tail) = state.withLock { state -> ([Pending], EntryID?) in
            defer { state.waiting = [] }
            return (state.waiting, state.tree.entries.last?.id)
        }
        let entries = followers.isEmpty ? own.entries : own.entries + followers.flatMap(\.batch.entries)
        let runs = [own.run].compactMap(\.self) + followers.compactMap(\.batch.run)
        let start = ContinuousClock.now
        do throws(StoreError) {
            try await traced("store.append") { span throws(StoreError) in
                if span.isRecording { span.add([.integer("tau.entries", entries.count)]) }
                try await store.append(entries, to: id, after: tail, runs: runs)
            }
            Measurements.appendDuration.observe(since: start)
            Measurements.appends.add(1, "success")
        } catch {
            Measurements.appends.add(1, "failed")
            fail(followers, error)
            throw error
        }
        let next = state.withLock { state -> Pending? in
            for entry in entries {
                state.tree.append(entry)
                state.byteCount += entry.line.count + 1
                state.waitingIDs.remove(entry.id)
            }
            guard !state.waiting.isEmpty else {
                state.isStoring = false
                return nil
            }
            return state.waiting.removeFirst()
        }
        for follower in followers { follower.continuation.resume(returning: .stored(follower.batch.entries)) }
        if let next { next.continuation.resume(returning: .lead(next.batch)) }
        return own.entries
    }

    /// Fails everybody who waits: their entries follow entries that were not stored.
    private func fail(_ followers: [Pending], _ error: StoreError) {
        let behind = state.withLock { state in
            defer { state.waiting = [] }
            state.isStoring = false
            state.waitingIDs = []
            state.nextLeaf = state.tree.leafID
            return state.waiting
        }
        for pending in followers + behind { pending.continuation.resume(returning: .failed(error)) }
    }
}
