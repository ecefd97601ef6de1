internal import ArgumentParser
internal import Logging
internal import TauCore
internal import TauKit
internal import TauStorage
internal import TauSystem

/// `tau store`: looking after the files.
struct StoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "store",
        abstract: "Check and repair session files, move sessions between stores, rebuild the catalogue.",
        discussion: """
            These commands work on the data directory itself, whether a server runs on it or not.

            EXAMPLES
              tau store check
              tau store check 01a20aeb-… --repair
              tau store migrate --from jsonl --to postgres
              tau store rebuild
            """,
        subcommands: [StoreCheckCommand.self, StoreMigrateCommand.self, StoreRebuildCommand.self])
}

/// Where the files are.
struct StoreOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The data directory (TAU_DATA_DIR). Default: ./data", valueName: "directory"))
    var dataDir: String?

    @Option(help: ArgumentHelp("The configuration file. Default: tau.yaml", valueName: "file"))
    var config: String?

    /// `storeKind` goes before what is configured.
    func load(storeKind: String? = nil) async throws -> ServerConfiguration {
        var overrides = ServerConfiguration.Overrides()
        overrides.configurationFile = config
        overrides.set("data.dir", dataDir)
        overrides.set("store.kind", storeKind)
        return try await ServerConfiguration.load(overrides)
    }
}

/// `tau store rebuild`.
struct StoreRebuildCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild", abstract: "Read every session file into the catalogue anew.",
        discussion: """
            The catalogue follows the files on its own. This is for files that were edited in place, and for peace of mind. A
            server may run meanwhile.

            EXAMPLES
              tau store rebuild
              tau store rebuild --data-dir /srv/tau --json
            """)

    @OptionGroup var options: StoreOptions

    @Flag(help: "As JSON: {\"sessions\": number, \"milliseconds\": number}.")
    var json = false

    func run() async throws {
        try await ClientOptions.reporting {
            let configuration = try await options.load()
            let logger = Logger(label: "tau") { _ in SwiftLogNoOpLogHandler() }
            let store = try JSONLStorage(
                directory: configuration.dataDirectory, settings: configuration.storage, logger: logger
            ).sessions
            let start = monotonicMilliseconds()
            let progress = ProgressLine("sessions")
            let count = try await store.rebuildCatalog { progress.show($0, of: $1) }
            try await store.shutDown()
            progress.end()
            let milliseconds = monotonicMilliseconds() - start
            if json {
                Terminal.writeJSON(["sessions": .integer(count), "milliseconds": .integer(milliseconds)])
            } else {
                print("\(count) session files were read in \(milliseconds) ms.")
            }
        }
    }
}
