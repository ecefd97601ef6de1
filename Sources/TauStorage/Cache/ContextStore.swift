internal import Synchronization
internal import TauCore

/// Contexts of branches that were made before. A leaf names its branch, so what is kept under it is never out of date.
///
/// A store that fails is asked again later; it costs time, but never an error.
protocol ContextStore: Sendable {
    func context(of leaf: EntryID, in session: SessionID) async -> ModelContext?
    func keep(_ context: ModelContext, of leaf: EntryID, in session: SessionID) async
    /// Drops everything of a session that was deleted.
    func forget(_ session: SessionID) async
}

/// Contexts in this process's memory, bounded by their bytes; those not used for long go first.
final class MemoryContexts: ContextStore {
    /// In two generations: what is used moves to the young one, and when that is full the old one goes.
    private struct Generation {
        var contexts: [SessionID: [EntryID: (context: ModelContext, byteCount: Int)]] = [:]
        var byteCount = 0

        mutating func insert(_ context: ModelContext, _ byteCount: Int, of leaf: EntryID, in session: SessionID) {
            let before = contexts[session, default: [:]].updateValue((context, byteCount), forKey: leaf)
            self.byteCount += byteCount - (before?.byteCount ?? 0)
        }

        mutating func remove(_ session: SessionID) {
            for kept in contexts.removeValue(forKey: session)?.values.map(\.byteCount) ?? [] { byteCount -= kept }
        }
    }

    private struct State {
        var young = Generation()
        var old = Generation()
    }

    private let maxBytes: Int
    private let state = Mutex(State())

    init(maxBytes: Int) { self.maxBytes = maxBytes }

    /// Bytes that are kept now.
    var byteCount: Int { state.withLock { $0.young.byteCount + $0.old.byteCount } }

    func context(of leaf: EntryID, in session: SessionID) -> ModelContext? {
        state.withLock { state in
            if let kept = state.young.contexts[session]?[leaf] { return kept.context }
            guard let kept = state.old.contexts[session]?[leaf] else { return nil }
            insert(kept.context, kept.byteCount, of: leaf, in: session, &state)
            return kept.context
        }
    }

    func keep(_ context: ModelContext, of leaf: EntryID, in session: SessionID) {
        // The messages of a context may be small parts of a large file, which would stay with them.
        let bytes = ContextCode.encode(context, of: leaf, in: session)
        guard bytes.count <= maxBytes / 2, let compact = ContextCode.decode(bytes, of: leaf, in: session) else {
            return
        }
        state.withLock { insert(compact, bytes.count, of: leaf, in: session, &$0) }
    }

    private func insert(
        _ context: ModelContext, _ byteCount: Int, of leaf: EntryID, in session: SessionID, _ state: inout State
    ) {
        if state.young.byteCount + byteCount > maxBytes / 2 {
            state.old = state.young
            state.young = Generation()
        }
        state.young.insert(context, byteCount, of: leaf, in: session)
    }

    func forget(_ session: SessionID) {
        state.withLock { state in
            state.young.remove(session)
            state.old.remove(session)
        }
    }
}

/// One behind the other: what a slower one knows is taken over by the faster ones.
struct LayeredContexts: ContextStore {
    let layers: [any ContextStore]

    func context(of leaf: EntryID, in session: SessionID) async -> ModelContext? {
        for (index, layer) in layers.enumerated() {
            guard let context = await layer.context(of: leaf, in: session) else { continue }
            for faster in layers[..<index] { await faster.keep(context, of: leaf, in: session) }
            Measurements.contextReads.add(1, index == 0 ? "hit" : "shared_hit")
            return context
        }
        Measurements.contextReads.add(1, "miss")
        return nil
    }

    func keep(_ context: ModelContext, of leaf: EntryID, in session: SessionID) async {
        for layer in layers { await layer.keep(context, of: leaf, in: session) }
    }

    func forget(_ session: SessionID) async {
        for layer in layers { await layer.forget(session) }
    }
}
