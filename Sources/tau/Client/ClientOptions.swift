internal import ArgumentParser
internal import Glibc
internal import TauCore

/// How a command finds its server; the same for all of them.
struct ClientOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The server to speak to (TAU_SERVER).", valueName: "url"))
    var server: String?

    @Option(help: ArgumentHelp("The API key (TAU_API_KEY).", valueName: "key"))
    var key: String?

    @Option(
        help: ArgumentHelp(
            "Certificates that vouch for the server (TAU_CA), where the system's do not.", valueName: "file"))
    var ca: String?

    @Option(help: ArgumentHelp("The data directory (TAU_DATA_DIR). Default: ./data", valueName: "directory"))
    var dataDir: String?

    @Option(
        help: ArgumentHelp("The configuration file, where there is no server. Default: tau.yaml", valueName: "file"))
    var config: String?

    static let discussion = """
        SERVER
          Speaks to --server; or else to the server that runs on the same data directory; or else does without one, in
          this process.
        """

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Runs `body` with a client. Whatever goes wrong is told on standard error, and becomes the exit code.
    func run(_ body: @escaping @Sendable (TauClient) async throws -> Void) async throws {
        try await Self.reporting { try await locate { address in try await TauClient.with(address, body) } }
    }

    /// The same for calls for which a model works, and the server is silent meanwhile.
    func runPatiently(_ body: @escaping @Sendable (TauClient) async throws -> Void) async throws {
        try await Self.reporting {
            try await locate { address in
                try await TauClient.with(address, silence: TauClient.headTimeout, body)
            }
        }
    }

    /// Tells an error of `body` on standard error and makes an exit code of it.
    static func reporting<Result>(_ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch let exit as ExitCode {
            throw exit
        } catch let error as ClientError {
            Terminal.complain("\(error)")
            throw ExitCode(error.exitCode)
        } catch let failure as ConfigurationFailure {
            Terminal.complain("\(failure)")
            throw ExitCode(78)
        } catch {
            Terminal.complain("\(error)")
            throw ExitCode(1)
        }
    }

    private func locate(_ body: @escaping @Sendable (ServerAddress) async throws -> Void) async throws {
        let key = key ?? Self.variable("TAU_API_KEY")
        if var url = server ?? Self.variable("TAU_SERVER") {
            while url.utf8.last == UInt8(ascii: "/") { url.removeLast() }
            guard ["http://", "https://"].contains(where: { url.hasPrefix($0) && url.count > $0.count }) else {
                throw ClientError(.usage, "--server must be a URL such as http://127.0.0.1:8080, not \"\(url)\"")
            }
            guard let key else {
                throw ClientError(
                    .refused, "a server needs a key: give --key or set TAU_API_KEY (see its data/admin.key)")
            }
            let trust = (ca ?? Self.variable("TAU_CA")).map { ServerAddress.Trust.file($0) }
            return try await body(ServerAddress(url: url, key: key, trust: trust ?? .system))
        }
        // The configuration may name the directory, too. Looking elsewhere would start a second server over its data.
        var overrides = ServerConfiguration.Overrides()
        overrides.configurationFile = config
        overrides.set("data.dir", dataDir)
        let configuration = try await ServerConfiguration.load(overrides)
        if var address = ServerPresence.find(dataDirectory: configuration.dataDirectory) {
            if let key { address.key = key }
            return try await body(address)
        }
        try await withEmbeddedServer(configuration, body)
    }
}
