internal import ArgumentParser
internal import Glibc
internal import NIOCore
internal import Synchronization
internal import TauSystem
internal import UnixSignals

/// `tau serve`: the server.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Start the server.",
        discussion: """
            Serves the HTTP API until it is told to stop (SIGTERM, SIGINT): then new work is refused, what runs may finish
            within http.drainSeconds, and the process ends.

            Everything can be configured by flags, by environment (TAU_HTTP_PORT for http.port) and in tau.yaml, in this order.
            Without ANTHROPIC_API_KEY or OPENAI_API_KEY the built-in scripted model answers, so that all works offline.

            EXAMPLES
              tau serve
              tau serve --port 9000 --data-dir /var/lib/tau
              ANTHROPIC_API_KEY=… tau serve --config /etc/tau.yaml
              TAU_POSTGRES_URL=postgres://tau@db/tau tau serve --store postgres
              OPENAI_BASE_URL=http://127.0.0.1:8000/v1 tau serve

            EXIT CODES
              0  stopped as asked    64  wrong usage    78  wrong configuration    1  anything else
            """)

    @Option(help: ArgumentHelp("Address to listen on (http.host). Default: 127.0.0.1", valueName: "address"))
    var host: String?

    @Option(help: ArgumentHelp("Port to listen on (http.port). Default: 8080", valueName: "number"))
    var port: String?

    @Option(help: ArgumentHelp("Where everything is kept (data.dir). Default: ./data", valueName: "directory"))
    var dataDir: String?

    @Option(
        help: ArgumentHelp(
            "jsonl, postgres or hybrid (store.kind); the database's address is TAU_POSTGRES_URL. Default: jsonl",
            valueName: "kind"))
    var store: String?

    @Option(help: ArgumentHelp("The configuration file. Default: tau.yaml, if there is one", valueName: "file"))
    var config: String?

    @Option(
        help: ArgumentHelp("trace, debug, info, notice, warning, error or critical (log.level)", valueName: "level"))
    var logLevel: String?

    func run() async throws {
        var overrides = ServerConfiguration.Overrides()
        overrides.configurationFile = config
        overrides.set("http.host", host)
        overrides.set("http.port", port)
        overrides.set("data.dir", dataDir)
        overrides.set("store.kind", store)
        overrides.set("log.level", logLevel)
        raiseOpenFileLimit()
        let composition: Composition
        let telemetry: Telemetry
        do {
            let configuration = try await ServerConfiguration.load(overrides)
            telemetry = Telemetry.start(configuration)
            composition = try await Composition.make(configuration)
        } catch let failure as ConfigurationFailure {
            Terminal.complain("\(failure)")
            throw ExitCode(78)
        } catch {
            Terminal.complain("the server cannot start: \(error)")
            throw ExitCode(1)
        }
        let presence = PresenceHolder()
        do {
            try await composition.serve(signals: [.sigterm, .sigint], telemetry: telemetry) { port in
                Self.welcome(composition, port, presence)
            }
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            let configuration = composition.configuration
            Terminal.complain(
                "\(configuration.host):\(configuration.port) is in use already; choose another with --port")
            throw ExitCode(1)
        } catch {
            Terminal.complain("the server stopped: \(error)")
            throw ExitCode(1)
        }
        presence.leave()
    }

    private static func welcome(_ composition: Composition, _ port: Int, _ presence: PresenceHolder) {
        let configuration = composition.configuration
        let scheme = configuration.certificateFiles == nil ? "http" : "https"
        let url = "\(scheme)://\(configuration.host):\(port)"
        presence.announce(url, in: configuration.dataDirectory)
        let program = CommandLine.arguments.first ?? "tau"
        let key = composition.keyFile.map { "$(cat \($0))" } ?? "$TAU_AUTH_ADMIN_KEY"
        print(
            """
            Tau listens on \(url), data in \(configuration.dataDirectory)
            Admin key: \(composition.keyFile ?? "as configured (auth.adminKey)")

            Try it:
              \(program) run "Use bash with command=\\"uname -a\\"." --server \(url) --key "\(key)"
              curl -s -H "Authorization: Bearer \(key)" -X POST \(url)/api/agent/v1/sessions -d '{"name":"first"}'

            Ctrl-C stops the server.
            """)
        fflush(nil)
        ServiceManager()?.notify("READY=1")
    }
}

/// Keeps the server's announcement for as long as it runs.
private final class PresenceHolder: Sendable {
    private let presence = Mutex<ServerPresence?>(nil)

    func announce(_ url: String, in dataDirectory: String) {
        presence.withLock { $0 = ServerPresence(url: url, dataDirectory: dataDirectory) }
    }

    func leave() {
        presence.withLock { $0 = nil }
    }
}
