public import Logging
public import TauCore

/// What the runtime takes from outside, so that tests can hold it still.
public struct RuntimeEnvironment: Sendable {
    public var now: @Sendable () -> Timestamp
    public var identifiers: IdentifierSource
    /// This server's name, shown on runs.
    public var node: String
    public var logger: Logger

    public init(
        now: @escaping @Sendable () -> Timestamp, identifiers: IdentifierSource = IdentifierSource(), node: String,
        logger: Logger
    ) {
        self.now = now
        self.identifiers = identifiers
        self.node = node
        self.logger = logger
    }
}
