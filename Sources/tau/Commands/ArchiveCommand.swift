internal import ArgumentParser
internal import Logging
internal import Synchronization
internal import TauCore
internal import TauKit
internal import TauStorage

/// `tau archive`: sessions that nobody uses.
struct ArchiveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "archive", abstract: "Move sessions that nobody uses to the bucket.",
        discussion: """
            EXAMPLES
              tau archive sweep --dry-run
              tau archive sweep --after-days 90
            """,
        subcommands: [Sweep.self])

    struct Sweep: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "sweep", abstract: "Archive what nobody has added to for some days, on the database itself.",
            discussion: """
                Takes the database from TAU_POSTGRES_URL and the bucket from TAU_ARCHIVE_URL. Servers may run meanwhile; of
                several that sweep one does. What cannot be archived now stays where it is and is tried by the next sweep.

                EXAMPLES
                  tau archive sweep --dry-run
                  tau archive sweep --after-days 90 --json

                EXIT CODES
                  0   done                      1   some sessions could not be archived; they are named
                  78  wrong configuration       74  the database or the bucket cannot be used
                """)

        @OptionGroup var options: StoreOptions

        @Option(help: ArgumentHelp("Days without an entry. Default: archive.afterDays, 30", valueName: "number"))
        var afterDays: Int?

        @Flag(help: "Only tell what would be archived.")
        var dryRun = false

        @Flag(help: "As JSON: {\"archived\": number, \"failed\": number}.")
        var json = false

        func validate() throws {
            guard afterDays.map({ $0 >= 0 }) ?? true else { throw ValidationError("--after-days must not be negative") }
        }

        func run() async throws {
            let failed = try await ClientOptions.reporting { () async throws -> Int in
                let configuration = try await options.load(storeKind: "postgres")
                guard let tier = configuration.postgres, tier.archiveURL != nil else {
                    throw ConfigurationFailure(key: "archive.url", problem: "is missing: say where old sessions go")
                }
                let storage = try PostgresStorage(
                    try tier.settings(), logger: Logger(label: "tau") { _ in SwiftLogNoOpLogHandler() })
                do throws(StoreError) {
                    let failed = try await sweep(storage, afterDays ?? configuration.archiveAfterDays)
                    try await storage.close()
                    return failed
                } catch {
                    Terminal.complain(error.message)
                    throw ExitCode(74)
                }
            }
            if failed > 0 { throw ExitCode(1) }
        }

        private func sweep(_ storage: PostgresStorage, _ days: Int) async throws(StoreError) -> Int {
            try await storage.migrate()
            let failures = FailureCount()
            let progress = ProgressLine("sessions")
            let isQuiet = json
            let count = try await storage.archive?.sweep(afterDays: days, isTrial: dryRun) { done, count, id, error in
                progress.show(done, of: count)
                if let error {
                    failures.add()
                    progress.end()
                    Terminal.complain("\(id): \(error.message)")
                } else if !isQuiet {
                    progress.end()
                    print("\(dryRun ? "would be archived" : "archived"): \(id)")
                }
            }
            progress.end()
            if json {
                Terminal.writeJSON(["archived": .integer(dryRun ? 0 : count ?? 0), "failed": .integer(failures.count)])
            } else if count == nil {
                print("Another server sweeps at the moment.")
            } else {
                print("\(count ?? 0) sessions \(dryRun ? "would be" : "were") archived.")
            }
            return failures.count
        }
    }
}

/// Counts what went wrong in calls from anywhere.
private final class FailureCount: Sendable {
    private let failures = Mutex(0)

    var count: Int { failures.withLock { $0 } }

    func add() { failures.withLock { $0 += 1 } }
}
