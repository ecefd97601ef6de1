package import TauCore
internal import TauSystem

/// What the built-in tools need to know of the server that they run on.
package struct ToolsConfiguration: Sendable {
    /// The directory that holds one workspace a session. It is made if it does not exist, with its parents.
    package var workspaceRoot: String
    package var limits: ToolLimits
    /// By tool name; a tool that is not named is allowed.
    package var policies: [String: ToolPolicy]
    /// Whom commands run as, and who owns the workspaces, where the server is root. Never 0.
    package var toolUserID: UInt32
    package var toolGroupID: UInt32
    package var confinement = Confinement.sandbox
    package var protectedNames = ProtectedNames()

    /// What stands between commands and the server.
    package enum Confinement: String, Sendable, CaseIterable {
        /// Bubblewrap with all that belongs to it, or no commands.
        case sandbox = "bubblewrap"
        /// Nothing but the tools' user. For machines that are a sandbox themselves.
        case none
    }

    package init(
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
package struct ToolLimits: Sendable, Hashable {
    /// Lines of a text answer.
    package var maxLines = 2000
    /// Bytes of a text answer.
    package var maxBytes = 51_200
    /// Bytes of a file that `read` and `edit` take.
    package var maxReadBytes = 8 << 20
    /// Bytes of a file that `write` and `edit` make.
    package var maxWriteBytes = 8 << 20
    /// Bytes of an image file: 4.5 MiB once it is base64.
    package var maxImageBytes = 3_538_944
    /// Pixels of the longer side of an image that models are shown.
    package var maxImageSide = 2000
    /// Seconds that making an image smaller may take.
    package var imageTimeoutSeconds = 20
    /// Bytes that a workspace may take up on the disk.
    package var maxWorkspaceBytes = 1 << 30
    /// What lies below a workspace.
    package var workspaceVolume = WorkspaceVolume.directory
    /// Files, directories and links that a workspace may hold.
    package var maxWorkspaceFiles = 200_000
    /// Bytes of a file that a command writes into a workspace that is full: what the sandbox itself needs.
    package var fullWorkspaceFileBytes = 4096
    /// Bytes of the disk that tools leave free for everything else.
    package var minFreeDiskBytes = 256 << 20
    /// Milliseconds from one measurement of a workspace to the next, at least.
    package var quotaIntervalMilliseconds = 250
    /// Workspaces whose last measurement is remembered.
    package var maxRememberedQuotas = 10_000
    /// Replacements in one call of `edit`.
    package var maxEdits = 200

    /// Levels of directories, directories of one level, and entries in which secret files are looked for before each command.
    package var secretSearchDepth = 4
    package var secretSearchDirectories = 100
    package var secretSearchEntries = 2000
    /// Secret files that a command finds empty.
    package var maxSecretFiles = 256

    /// Bytes of a file that `grep` searches; larger ones are passed by.
    package var maxSearchFileBytes = 16 << 20
    /// Entries and depth of directories that `grep` and `find` go through.
    package var maxSearchEntries = 1_000_000
    package var maxSearchDepth = 128
    /// Bytes of a pattern.
    package var maxPatternBytes = 4096
    /// Results of one call of `grep`, `find` or `ls`.
    package var maxSearchResults = 10_000
    /// Lines that `grep` shows around a match.
    package var maxSearchContext = 50
    /// Characters of a line that `grep` shows.
    package var maxSearchLineCharacters = 500
    /// Seconds that `grep` gets.
    package var searchTimeoutSeconds = 60

    /// Seconds that a command gets when it does not ask for a time.
    package var commandTimeoutSeconds = 120
    /// Seconds that a command gets at most. More that is asked for is lowered to it.
    package var maxCommandTimeoutSeconds = 600
    /// Whether commands that would plainly do great harm are refused. The sandbox holds them in any case.
    package var refusesDangerousCommands = true
    /// Bytes of a command line. The kernel takes no argument of 128 KiB or more.
    package var maxCommandBytes = 100_000
    /// Commands that run at once, over all sessions; further ones wait in their order.
    package var maxConcurrentCommands = 8
    /// Commands that run or wait; further ones are refused.
    package var maxQueuedCommands = 1024
    /// Bytes of a running command's newest output that stay in memory. At least `maxBytes`.
    package var outputKeptBytes = 102_400
    /// Bytes of output after which a command is stopped.
    package var outputStopBytes = 32 << 20
    /// Bytes of the output's beginning that an answer shows beside its end, in whole lines.
    package var outputHeadBytes = 14_336
    /// Lines of it.
    package var outputHeadLines = 200
    /// Milliseconds from one report of a running command's output to the next.
    package var reportIntervalMilliseconds = 100
    /// Milliseconds that are spent on output that still comes when a command has ended.
    package var outputGraceMilliseconds = 200

    /// Open files of each process of a command.
    package var maxOpenFiles = 1024
    /// Bytes of a file that a command writes.
    package var maxFileBytes = 256 << 20
    /// Bytes that a command locks in memory.
    package var maxLockedBytes = 64 << 10
    /// Processes and threads of a command.
    package var maxCommandProcesses = 128
    /// Memory of a command, in bytes; without control groups, private memory of each of its processes.
    package var maxCommandMemoryBytes = 512 << 20
    /// Processors' worth of time that a command gets: 1.5 is one and a half.
    package var maxCommandProcessors = 2.0
    /// Processes and threads of all commands together, where there are no control groups and commands have a user of
    /// their own.
    package var maxProcesses = 512
    /// Bytes of a command's /tmp and /dev/shm, which live in memory.
    package var temporaryBytes = 64 << 20
    package var sharedMemoryBytes = 16 << 20

    package init() {}

    var workspaceBound: DiskUsage { DiskUsage(bytes: Int64(maxWorkspaceBytes), files: maxWorkspaceFiles) }

    var controlGroup: ControlGroups.Limits {
        .init(
            processes: maxCommandProcesses, memoryBytes: maxCommandMemoryBytes, processors: maxCommandProcessors,
            filesInMemory: workspaceVolume == .tmpfs)
    }
}
