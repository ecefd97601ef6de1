public import TauCore

/// The bounds of the runtime, each with its name in the configuration.
public struct RuntimeLimits: Sendable {
    /// Sessions kept open at once (`sessions.maxOpen`); the one that was idle longest is closed for the next.
    public var maxOpenSessions = 1000
    /// Bytes of the files of sessions kept open at once (`sessions.maxOpenBytes`); closed for room as above. A session in use stays.
    public var maxOpenBytes = 512 << 20
    /// Runs at work at once on this server (`runs.maxActive`).
    public var maxActiveRuns = 1000
    /// Runs at work at once of one user on this server (`runs.maxActivePerUser`).
    public var maxActiveRunsPerUser = 500
    /// Turns of one run (`runs.maxTurns`).
    public var maxTurns = 100
    /// Tool calls of one turn that run at once (`runs.maxParallelTools`).
    public var maxParallelTools = 8
    /// Seconds that a tool call gets, whatever its own limits (`tools.maxSeconds`).
    public var maxToolSeconds = 3600
    /// Bytes of text and images that a tool's result may have (`tools.maxResultBytes`).
    public var maxToolResultBytes = 8 << 20
    /// Messages that wait in one run's queue for steering, and as many in its queue of follow-ups (`runs.maxQueuedMessages`).
    public var maxQueuedMessages = 32
    /// Bytes of events that are kept for one run's readers (`runs.journalBytes`); deltas of finished messages go first.
    public var journalBytes = 4 << 20
    /// Finished runs whose events can still be read (`runs.retained`).
    public var retainedRuns = 256
    /// Bytes of a piece of an answer that is told without further waiting (`runs.deltaBytes`); 0 tells every piece as it comes.
    public var deltaBytes = 1024
    /// Milliseconds that a reader waits for a smaller piece to grow (`runs.deltaMilliseconds`); three times as many after 256 bytes of an
    /// answer, eight times after 1 KiB.
    public var deltaMilliseconds = 100
    /// US dollars of one run (`runs.maxCost`); nil for no bound. A run may ask for less.
    public var maxCost: Double?
    /// What becomes of tool calls that fit, before the policies of the tools (`tools.rules`).
    public var toolRules: [ToolRule] = []
    /// Seconds that a person has to decide on a tool call (`tools.approvalSeconds`); afterwards it counts as denied.
    public var approvalSeconds = 3600
    /// Model calls to one provider at a time (`models.maxConcurrentCalls`), where the provider has no bound of its own.
    public var maxModelCalls = 1024
    /// Whether spans tell what was said, and not only how much (`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`).
    public var tracesContent = false
    /// Bytes of what was said in one attribute of a span (`traces.maxContentBytes`); the last messages that fit are told.
    public var maxTracedContentBytes = 65_536
    public var retry = RetryPolicy()
    public var circuit = CircuitSettings()

    /// Bytes of one line of a session file (`sessions.maxLineBytes`); a longer one is kept and skipped, and not imported.
    public var maxLineBytes = SessionFile.Limits().maxLineBytes
    public var compaction = CompactionSettings()

    public init() {}
}
