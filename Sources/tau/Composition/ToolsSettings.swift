internal import Configuration
internal import TauCore
internal import TauTools

extension ToolsConfiguration {
    /// Takes what `tools.…` says.
    mutating func apply(_ settings: Settings) throws {
        let commands = try settings.choice("tools.sandbox", Confinement.allCases.map(\.rawValue))
        confinement = commands.flatMap(Confinement.init) ?? confinement
        // Tools never run as root, so 0 is no user for them.
        toolUserID = UInt32(try settings.integer("tools.userId", 1...4_294_967_294) ?? Int(toolUserID))
        toolGroupID = UInt32(try settings.integer("tools.groupId", 1...4_294_967_294) ?? Int(toolGroupID))
        for name in ["read", "bash", "edit", "write", "grep", "find", "ls"] {
            let choice = try settings.choice(ConfigKey("tools.policy.\(name)"), ToolPolicy.allCases.map(\.rawValue))
            if let policy = choice.flatMap(ToolPolicy.init) { policies[name] = policy }
        }
        let kind = try settings.choice("workspace.volume", WorkspaceVolume.allCases.map(\.rawValue))
        limits.workspaceVolume = kind.flatMap(WorkspaceVolume.init) ?? limits.workspaceVolume
        try limits.apply(settings)
        try protectedNames.apply(settings)
    }
}

extension ToolLimits {
    fileprivate mutating func apply(_ settings: Settings) throws {
        commandTimeoutSeconds = try settings.integer("tools.timeoutSeconds", 1...3600) ?? commandTimeoutSeconds
        refusesDangerousCommands =
            try settings.boolean("tools.refuseDangerousCommands") ?? refusesDangerousCommands
        maxConcurrentCommands =
            try settings.integer("tools.maxConcurrentCommands", 1...1024) ?? maxConcurrentCommands
        maxCommandProcesses = try settings.integer("tools.maxProcesses", 8...100_000) ?? maxCommandProcesses
        maxCommandMemoryBytes =
            try settings.integer("tools.maxMemoryBytes", 16 << 20...1 << 50) ?? maxCommandMemoryBytes
        maxCommandProcessors = try settings.number("tools.maxProcessors", 0.01...1024) ?? maxCommandProcessors
        maxFileBytes = try settings.integer("tools.maxFileBytes", 1 << 10...1 << 50) ?? maxFileBytes
        temporaryBytes = try settings.integer("tools.temporaryBytes", 1 << 16...1 << 40) ?? temporaryBytes
        maxWorkspaceBytes = try settings.integer("workspace.maxBytes", 1 << 16...1 << 60) ?? maxWorkspaceBytes
        maxWorkspaceFiles = try settings.integer("workspace.maxFiles", 16...1_000_000_000) ?? maxWorkspaceFiles
        minFreeDiskBytes = try settings.integer("workspace.minFreeBytes", 0...1 << 50) ?? minFreeDiskBytes
        outputStopBytes = try settings.integer("tools.outputStopBytes", 1 << 16...1 << 40) ?? outputStopBytes
    }
}

extension ProtectedNames {
    fileprivate mutating func apply(_ settings: Settings) throws {
        secrets = settings.strings("tools.protected.secrets") ?? secrets
        exceptions = settings.strings("tools.protected.exceptions") ?? exceptions
        readOnly = settings.strings("tools.protected.readOnly") ?? readOnly
    }
}

extension ToolRule {
    /// Reads `tools.rules` of `tau.yaml`: rules by name, in the order in which they are asked.
    static func read(_ tree: ConfigurationTree) throws -> [ToolRule] {
        try tree.members().map { _, rule in
            let members = try rule.members(["tool", "argument", "pattern", "role", "policy"])
            let values = try Dictionary(uniqueKeysWithValues: members.map { ($0.name, try $0.tree.string()) })
            guard let tool = values["tool"] else { throw rule.failure("needs tool: a tool's name, or \"*\"") }
            guard let policy = values["policy"].flatMap(ToolPolicy.init) else {
                throw rule.failure("needs policy: allow, ask or deny")
            }
            let role = values["role"].flatMap(Role.init)
            guard values["role"] == nil || role != nil else {
                throw rule["role"].failure("must be admin, user or viewer")
            }
            guard (values["argument"] == nil) == (values["pattern"] == nil) else {
                throw rule.failure("needs both argument and pattern, or none of them")
            }
            return ToolRule(
                tool: tool, argument: values["argument"], pattern: values["pattern"], role: role, policy: policy)
        }
    }
}
