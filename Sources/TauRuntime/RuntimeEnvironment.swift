public import Logging
public import TauCore

/// What the runtime takes from outside, so that tests can hold it still.
public struct RuntimeEnvironment: Sendable {
    public var now: @Sendable () -> Timestamp
    /// For waits: before another try, for an approval.
    public var clock: any Clock<Duration>
    /// A number from 0 to 1, another one each time.
    public var spread: @Sendable () -> Double
    public var identifiers: IdentifierSource
    /// This server's name, shown on runs.
    public var node: String
    public var logger: Logger
    /// Where decisions are written down; nil for nowhere.
    public var audit: (any AuditLog)?
    /// For `pattern` in the schemas of tools; without it such schemas are refused.
    public var patterns: ArgumentSchema.PatternCompiler?

    public init(
        now: @escaping @Sendable () -> Timestamp, clock: any Clock<Duration> = ContinuousClock(),
        spread: @escaping @Sendable () -> Double = { Double.random(in: 0...1) },
        identifiers: IdentifierSource = IdentifierSource(), node: String, logger: Logger,
        patterns: ArgumentSchema.PatternCompiler? = nil
    ) {
        self.now = now
        self.clock = clock
        self.spread = spread
        self.identifiers = identifiers
        self.node = node
        self.logger = logger
        self.patterns = patterns
    }
}
