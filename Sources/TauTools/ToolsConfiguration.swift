public import TauCore

/// What the built-in tools need to know of the server that they run on.
public struct ToolsConfiguration: Sendable {
    /// The directory that holds one workspace a session. It is made if it does not exist, with its parents.
    public var workspaceRoot: String
    public var limits: ToolLimits
    /// By tool name; a tool that is not named is allowed.
    public var policies: [String: ToolPolicy]
    /// Whom commands run as, and who owns the workspaces, where the server is root. Never 0.
    public var toolUserID: UInt32
    public var toolGroupID: UInt32

    public init(
        workspaceRoot: String, limits: ToolLimits = ToolLimits(), policies: [String: ToolPolicy] = [:],
        toolUserID: UInt32 = 60001, toolGroupID: UInt32 = 60001
    ) {
        self.workspaceRoot = workspaceRoot
        self.limits = limits
        self.policies = policies
        self.toolUserID = toolUserID
        self.toolGroupID = toolGroupID
    }
}

/// How much a tool may read, write, answer and use up.
public struct ToolLimits: Sendable, Hashable {
    /// Lines of a text answer.
    public var maxLines = 2000
    /// Bytes of a text answer.
    public var maxBytes = 51_200
    /// Bytes of a file that `read` and `edit` take.
    public var maxReadBytes = 8 << 20
    /// Bytes of a file that `write` and `edit` make.
    public var maxWriteBytes = 8 << 20
    /// Bytes of an image file: 4.5 MiB once it is base64.
    public var maxImageBytes = 3_538_944
    /// Replacements in one call of `edit`.
    public var maxEdits = 200

    /// Seconds that a command gets when it does not ask for a time.
    public var commandTimeoutSeconds = 120
    /// Seconds that a command gets at most. More that is asked for is lowered to it.
    public var maxCommandTimeoutSeconds = 600
    /// Bytes of a command line. The kernel takes no argument of 128 KiB or more.
    public var maxCommandBytes = 100_000
    /// Commands that run at once, over all sessions; further ones wait in their order.
    public var maxConcurrentCommands = 8
    /// Commands that run or wait; further ones are refused.
    public var maxQueuedCommands = 1024
    /// Bytes of a running command's newest output that stay in memory. At least `maxBytes`.
    public var outputKeptBytes = 102_400
    /// Bytes of output after which a command is stopped.
    public var outputStopBytes = 32 << 20
    /// Milliseconds from one report of a running command's output to the next.
    public var reportIntervalMilliseconds = 100
    /// Milliseconds that are spent on output that still comes when a command has ended.
    public var outputGraceMilliseconds = 200

    /// Open files of each process of a command.
    public var maxOpenFiles = 1024
    /// Bytes of a file that a command writes.
    public var maxFileBytes = 256 << 20
    /// Bytes that a command locks in memory.
    public var maxLockedBytes = 64 << 10
    /// Processes and threads of all commands together. Applied only where commands have a user of their own.
    public var maxProcesses = 512
    /// Bytes of a command's /tmp and /dev/shm, which live in memory.
    public var temporaryBytes = 64 << 20
    public var sharedMemoryBytes = 16 << 20

    public init() {}
}
