/// The context of a branch that grows: made once, and continued from entry to entry.
public struct ContextCache: Sendable {
    private var leaf: EntryID?
    private var context = ModelContext()
    /// Changes when the context is made anew: until then each one begins with the one before it.
    public private(set) var generation = 0

    /// New entries that are looked through before the context is made anew.
    private static let maxSteps = 1000

    public init() {}

    /// The same as `tree.context(of: leaf)`.
    public mutating func context(of leaf: EntryID?, in tree: SessionTree) -> ModelContext {
        guard let leaf, tree.contains(leaf) else {
            generation += 1
            self.leaf = nil
            return tree.context(of: leaf)
        }
        if let known = self.leaf, let places = tree.places(from: known, to: leaf, atMost: Self.maxSteps) {
            if tree.continue(&context, with: places) {
                self.leaf = leaf
                return context
            }
        }
        generation += 1
        context = tree.context(of: leaf)
        self.leaf = leaf
        return context
    }
}

/// The conversation of contexts that a `ContextCache` makes: each message is read once.
public struct ConversationCache: Sendable {
    private var generation: Int?
    private var conversation = Conversation()

    public init() {}

    /// Bytes of the messages that are kept.
    public var byteCount: Int { conversation.byteCount }

    /// The same as `Conversation(context)`, for a context of that generation of the cache.
    public mutating func conversation(of context: ModelContext, generation: Int) -> Conversation {
        if self.generation != generation { conversation = Conversation() }
        self.generation = generation
        conversation.read(context)
        return conversation
    }
}

extension SessionTree {
    /// The places behind `ancestor` up to `leaf`; nil where it is no ancestor within so many steps.
    fileprivate func places(from ancestor: EntryID, to leaf: EntryID, atMost maxSteps: Int) -> [Int]? {
        var places: [Int] = []
        var next: EntryID? = leaf
        while let id = next, id != ancestor {
            guard places.count < maxSteps, let place = index(of: id) else { return nil }
            places.append(place)
            next = entries[place].parentID
        }
        return next == nil ? nil : places.reversed()
    }

    /// Adds what further entries of the branch say; false, and nothing is changed, where they change what was before.
    fileprivate func `continue`(_ context: inout ModelContext, with places: [Int]) -> Bool {
        for place in places {
            switch entries[place].body {
            case .compaction, .contextEdit: return false
            default: break
            }
        }
        for place in places { context.settings.apply(entries[place]) }
        context.messages += editedMessages(on: places[...])
        return true
    }
}
