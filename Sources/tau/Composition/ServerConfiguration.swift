internal import Configuration
internal import Glibc
internal import SystemPackage
internal import TauCore
internal import TauHTTP
internal import TauKit
internal import TauProviders
internal import TauRuntime
internal import TauStorage
internal import TauTools

/// Everything that can be configured, read from flags over environment over `tau.yaml` over the defaults here.
struct ServerConfiguration: Sendable {
    var host = "127.0.0.1"
    var port = 8080
    var drainSeconds = 30
    var maxBodyBytes = 8 << 20
    var maxImportBytes = 256 << 20
    var heartbeatSeconds = 15
    /// With them connections are encrypted.
    var certificateFiles: CertificateFiles?
    /// Proxies that are believed where a request comes from (`http.trustedProxies`).
    var trustedProxies: [NetworkRange] = []
    var limits = LimitsConfiguration()
    var budgets = BudgetSettings()
    var tokens = TokensConfiguration()
    var telemetry = TelemetryConfiguration()
    var traces = TracesConfiguration()
    var maxStreams = 64
    var maxConnections = 10_000
    var maxKeptAnswerBytes = 64 << 10
    var headSeconds = 10
    var idleSeconds = 75
    /// Milliseconds that one part has to answer a health check (`health.timeoutMs`).
    var healthMilliseconds = 2000
    /// Bytes that must be left on the disk (`health.minFreeBytes`).
    var minFreeBytes = 64 << 20
    var dataDirectory = "./data"
    var adminKey: String?
    var log = LogConfiguration()
    var storage = JSONLSettings()
    /// Where sessions and runs are in a database instead (`store.kind` postgres).
    var postgres: PostgresTier?
    /// Days without an entry after which a sweep archives a session (`archive.afterDays`).
    var archiveAfterDays = 30
    /// Sent with every request of a session that has no prompt of its own (`agent.systemPrompt`).
    var systemPrompt = ServerConfiguration.defaultSystemPrompt
    var runtime = RuntimeLimits()
    var providers = ProvidersConfiguration()
    var tools = ToolsConfiguration(workspaceRoot: "./data/workspaces")

    static let defaultSystemPrompt = """
        You are a capable agent. You work in the directory /workspace: your tools see nothing else, and there is no network.
        Use the tools when they help, look at what they answer, and tell the user briefly what you did and found.
        """

    var sessionsDirectory: String { dataDirectory + "/sessions" }
    var auditPath: String { dataDirectory + "/audit.jsonl" }
    var adminKeyPath: String { dataDirectory + "/admin.key" }
}

/// A configuration that cannot be used: which key, and what it must be.
struct ConfigurationFailure: Error, CustomStringConvertible {
    var key: String
    var problem: String
    var description: String { "configuration: \(key) \(problem)" }
}

extension ServerConfiguration {
    /// What flags give, by configuration key.
    struct Overrides: Sendable {
        var configurationFile: String?
        var values: [String: ConfigValue] = [:]

        mutating func set(_ key: String, _ text: String?) {
            if let text { values[key] = ConfigValue(.string(text), isSecret: false) }
        }
    }

    static func load(_ overrides: Overrides) async throws -> ServerConfiguration {
        let flags = InMemoryProvider(
            name: "flags",
            values: Dictionary(
                uniqueKeysWithValues: overrides.values.map { (AbsoluteConfigKey(ConfigKey($0.key)), $0.value) }))
        let environment = EnvironmentVariablesProvider(secretsSpecifier: .all)
        var providers: [any ConfigProvider] = [flags, environment.prefixKeys(with: "tau")]
        let file = overrides.configurationFile ?? "tau.yaml"
        let tree = try ConfigurationTree(file: file, isRequired: overrides.configurationFile != nil)
        if tree.exists {
            do {
                providers.append(try await FileProvider<YAMLSnapshot>(filePath: .init(file)))
            } catch {
                // Its own words may hold a value of the file.
                throw ConfigurationFailure(
                    key: file, problem: "has a part that is no setting: lists may hold plain values only")
            }
        }
        var configuration = ServerConfiguration()
        try configuration.apply(Settings(ConfigReader(providers: providers)))
        configuration.runtime.toolRules = try ToolRule.read(tree["tools"]["rules"])
        // The keys of model providers have the names that their own tools use.
        let variables = Settings(ConfigReader(provider: environment))
        try configuration.traces.apply(variables)
        configuration.runtime.tracesContent = configuration.traces.hasContent
        try ModelsConfiguration(variables).apply(tree["models"], to: &configuration.providers)
        return configuration
    }

    private mutating func apply(_ settings: Settings) throws {
        host = settings.string("http.host") ?? host
        port = try settings.integer("http.port", 0...65_535) ?? port
        drainSeconds = try settings.integer("http.drainSeconds", 0...86_400) ?? drainSeconds
        maxBodyBytes = try settings.integer("http.maxBodyBytes", 1024...(1 << 30)) ?? maxBodyBytes
        maxImportBytes = try settings.integer("http.maxImportBytes", 1024...(1 << 32)) ?? maxImportBytes
        heartbeatSeconds = try settings.integer("http.heartbeatSeconds", 1...3600) ?? heartbeatSeconds
        healthMilliseconds = try settings.integer("health.timeoutMs", 100...60_000) ?? healthMilliseconds
        minFreeBytes = try settings.integer("health.minFreeBytes", 0...(1 << 50)) ?? minFreeBytes
        certificateFiles = try CertificateFiles(settings)
        dataDirectory = settings.string("data.dir") ?? dataDirectory
        adminKey = try settings.secret("auth.adminKey")
        try log.apply(settings)
        storage.threads = try settings.integer("store.threads", 1...1024) ?? storage.threads
        storage.journalBytes = try settings.integer("store.journalBytes", 8_388_608...(1 << 32)) ?? storage.journalBytes
        storage.checkpointSeconds =
            try settings.integer("store.checkpointSeconds", 1...3600) ?? storage.checkpointSeconds
        storage.recordedRuns = try settings.integer("runs.recorded", 1...100_000_000) ?? storage.recordedRuns
        storage.idempotencyKeys =
            try settings.integer("http.idempotencyKeys", 1...100_000_000) ?? storage.idempotencyKeys
        systemPrompt = settings.string("agent.systemPrompt") ?? systemPrompt
        try runtime.apply(settings)
        storage.maxLineBytes = runtime.maxLineBytes
        try applyStore(settings)
        try limits.apply(settings)
        try budgets.apply(settings)
        try tokens.apply(settings)
        try telemetry.apply(settings)
        maxStreams = try settings.integer("http.maxStreamsPerUser", 1...1_000_000) ?? maxStreams
        maxConnections = try settings.integer("http.maxConnections", 1...10_000_000) ?? maxConnections
        maxKeptAnswerBytes =
            try settings.integer("http.maxKeptAnswerBytes", 1024...16_777_216) ?? maxKeptAnswerBytes
        headSeconds = try settings.integer("http.headSeconds", 1...3600) ?? headSeconds
        idleSeconds = try settings.integer("http.idleSeconds", 1...86_400) ?? idleSeconds
        trustedProxies = try (settings.strings("http.trustedProxies") ?? []).map { text in
            guard let range = NetworkRange(text) else {
                throw ConfigurationFailure(
                    key: "http.trustedProxies",
                    problem: "holds \"\(text.prefix(60))\", which is no address and no range such as 10.0.0.0/8")
            }
            return range
        }
        tools.workspaceRoot = settings.string("workspace.root") ?? dataDirectory + "/workspaces"
        try tools.apply(settings)
        providers.defaultModel = settings.string("models.default") ?? providers.defaultModel
        for tier in ModelTier.allCases {
            providers.tierModels[tier] = settings.string(ConfigKey("models.\(tier.rawValue)"))
        }
        providers.scriptPath = settings.string("models.script")
        providers.idleTimeout = .seconds(
            try settings.integer("models.idleSeconds", 1...3600) ?? Int(providers.idleTimeout.components.seconds))
        providers.connectTimeout = .seconds(
            try settings.integer("models.connectSeconds", 1...300) ?? Int(providers.connectTimeout.components.seconds))
        providers.maxAnswerBytes =
            try settings.integer("models.maxAnswerBytes", 65_536...(1 << 32)) ?? providers.maxAnswerBytes
        providers.maxEventBytes =
            try settings.integer("models.maxEventBytes", 4096...(1 << 30)) ?? providers.maxEventBytes
        providers.maxConnectionsPerHost = runtime.maxModelCalls
    }
}

/// Typed access to the configuration: a value that is there but wrong is an error, never ignored.
struct Settings {
    private let reader: ConfigReader

    init(_ reader: ConfigReader) { self.reader = reader }

    func string(_ key: ConfigKey) -> String? { reader.string(forKey: key).flatMap { $0.isEmpty ? nil : $0 } }

    /// A secret, or what the file holds that the same key with `File` behind it names (in the environment `…_FILE`).
    func secret(_ key: ConfigKey) throws -> String? {
        if let text = reader.string(forKey: key, isSecret: true), !text.isEmpty { return text }
        var parts = key.components
        guard let last = parts.popLast(), let path = string(ConfigKey(parts + [last + "File"])) else { return nil }
        do {
            return try SecretFile.secret(path)
        } catch {
            throw ConfigurationFailure(key: "\(key)File", problem: "names a file that holds no secret: \(error)")
        }
    }

    func integer(_ key: ConfigKey, _ range: ClosedRange<Int>) throws -> Int? {
        // Flags are text; files may have numbers.
        guard let number = reader.int(forKey: key) ?? string(key).flatMap({ Int($0) }) else {
            guard let text = string(key) else { return nil }
            throw ConfigurationFailure(key: "\(key)", problem: "must be a whole number, not \"\(text.prefix(40))\"")
        }
        guard range.contains(number) else {
            throw ConfigurationFailure(
                key: "\(key)", problem: "must be from \(range.lowerBound) to \(range.upperBound), not \(number)")
        }
        return number
    }

    func number(_ key: ConfigKey, _ range: ClosedRange<Double>) throws -> Double? {
        guard let text = string(key) ?? reader.double(forKey: key).map({ String($0) }) else { return nil }
        guard let number = Double(text), range.contains(number) else {
            throw ConfigurationFailure(
                key: "\(key)", problem: "must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func strings(_ key: ConfigKey) -> [String]? { reader.stringArray(forKey: key) }

    func boolean(_ key: ConfigKey) throws -> Bool? { try choice(key, ["true", "false"]).map { $0 == "true" } }

    func choice(_ key: ConfigKey, _ choices: [String]) throws -> String? {
        guard let text = string(key) else { return nil }
        guard choices.contains(text) else {
            throw ConfigurationFailure(
                key: "\(key)", problem: "must be one of \(choices.joined(separator: ", ")), not \"\(text.prefix(40))\"")
        }
        return text
    }
}

extension RuntimeLimits {
    fileprivate mutating func apply(_ settings: Settings) throws {
        maxOpenSessions = try settings.integer("sessions.maxOpen", 1...1_000_000) ?? maxOpenSessions
        maxOpenBytes = try settings.integer("sessions.maxOpenBytes", 1_048_576...(1 << 40)) ?? maxOpenBytes
        maxLineBytes = try settings.integer("sessions.maxLineBytes", 65_536...(1 << 30)) ?? maxLineBytes
        maxActiveRuns = try settings.integer("runs.maxActive", 1...1_000_000) ?? maxActiveRuns
        maxActiveRunsPerUser =
            try settings.integer("runs.maxActivePerUser", 1...1_000_000) ?? max(1, maxActiveRuns / 2)
        maxTurns = try settings.integer("runs.maxTurns", 1...10_000) ?? maxTurns
        maxParallelTools = try settings.integer("runs.maxParallelTools", 1...256) ?? maxParallelTools
        maxQueuedMessages = try settings.integer("runs.maxQueuedMessages", 1...10_000) ?? maxQueuedMessages
        journalBytes = try settings.integer("runs.journalBytes", 65_536...(1 << 30)) ?? journalBytes
        compaction.isEnabled = try settings.boolean("compaction.enabled") ?? compaction.isEnabled
        compaction.reserveTokens =
            try settings.integer("compaction.reserveTokens", 256...10_000_000) ?? compaction.reserveTokens
        compaction.keepRecentTokens =
            try settings.integer("compaction.keepRecentTokens", 1...10_000_000) ?? compaction.keepRecentTokens
        retainedRuns = try settings.integer("runs.retained", 0...1_000_000) ?? retainedRuns
        deltaBytes = try settings.integer("runs.deltaBytes", 0...1_048_576) ?? deltaBytes
        deltaMilliseconds = try settings.integer("runs.deltaMilliseconds", 1...10_000) ?? deltaMilliseconds
        maxTracedContentBytes =
            try settings.integer("traces.maxContentBytes", 1024...(1 << 30)) ?? maxTracedContentBytes
        maxCost = try settings.number("runs.maxCost", 0...1e9) ?? maxCost
        maxToolSeconds = try settings.integer("tools.maxSeconds", 1...604_800) ?? maxToolSeconds
        maxToolResultBytes =
            try settings.integer("tools.maxResultBytes", 1024...(1 << 30)) ?? maxToolResultBytes
        approvalSeconds = try settings.integer("tools.approvalSeconds", 1...31_536_000) ?? approvalSeconds
        maxModelCalls = try settings.integer("models.maxConcurrentCalls", 1...100_000) ?? maxModelCalls
        retry.attempts = try settings.integer("models.retry.attempts", 0...100) ?? retry.attempts
        retry.baseMilliseconds =
            try settings.integer("models.retry.baseMilliseconds", 0...600_000) ?? retry.baseMilliseconds
        retry.maxMilliseconds =
            try settings.integer("models.retry.maxMilliseconds", 0...3_600_000) ?? retry.maxMilliseconds
        circuit.failures = try settings.integer("models.circuit.failures", 1...1_000_000) ?? circuit.failures
        circuit.openSeconds = try settings.integer("models.circuit.openSeconds", 1...86_400) ?? circuit.openSeconds
    }
}
