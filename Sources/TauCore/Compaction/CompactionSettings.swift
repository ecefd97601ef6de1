/// When a session's older part is summarised, and how much stays as it is. The defaults are Pi's.
public struct CompactionSettings: Sendable, Equatable {
    /// Whether it happens on its own (`compaction.enabled`); on request it always does.
    public var isEnabled = true
    /// Tokens of the window that are kept free for the answer (`compaction.reserveTokens`).
    public var reserveTokens = 16_384
    /// Tokens of the latest messages that are not summarised (`compaction.keepRecentTokens`).
    public var keepRecentTokens = 20_000

    public init() {}

    /// The same for a model: in a small window neither takes more than a quarter of it.
    public func fitted(to contextWindow: Int) -> CompactionSettings {
        var settings = self
        settings.reserveTokens = min(reserveTokens, contextWindow / 4)
        settings.keepRecentTokens = min(keepRecentTokens, contextWindow / 4)
        return settings
    }

    /// Whether a context of so many tokens leaves too little room.
    public func isDue(tokens: Int, contextWindow: Int) -> Bool {
        isEnabled && tokens > contextWindow - fitted(to: contextWindow).reserveTokens
    }
}

/// Why a session is compacted.
public enum CompactionReason: String, Sendable {
    case manual, threshold, overflow
}
