internal import ArgumentParser
internal import Glibc
internal import Logging
internal import TauCore
internal import TauKit
internal import TauStorage
internal import TauSystem

/// `tau store migrate`.
struct StoreMigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Bring the database's tables to this version, or move sessions between stores.",
        discussion: """
            Without --from and --to the tables in PostgreSQL (TAU_POSTGRES_URL) get the steps that are missing; a server does the
            same when it starts. With them every session is copied and compared byte for byte. Sessions that are there already are
            compared and left, so the command can be broken off and run again. Sessions only: the record of runs stays.

            EXAMPLES
              tau store migrate
              tau store migrate --from jsonl --to postgres --data-dir /srv/tau
              tau store migrate --from postgres --to jsonl --data-dir ./copy --json

            EXIT CODES
              0   everything is there       1   some sessions differ, or could not be copied; they are named
              78  wrong configuration       74  a store cannot be used
            """)

    enum Kind: String, ExpressibleByArgument { case jsonl, postgres }

    @OptionGroup var options: StoreOptions

    @Option(help: ArgumentHelp("Where the sessions are: jsonl or postgres.", valueName: "store"))
    var from: Kind?

    @Option(help: ArgumentHelp("Where they go: jsonl or postgres.", valueName: "store"))
    var to: Kind?

    @Flag(help: "As JSON: {\"steps\": [name]} or {\"copied\": number, \"same\": number, \"problems\": [{id, reason}]}.")
    var json = false

    func validate() throws {
        guard (from == nil) == (to == nil) else { throw ValidationError("--from and --to go together") }
        guard from == nil || from != to else { throw ValidationError("--from and --to are the same store") }
    }

    func run() async throws {
        let hasProblems = try await ClientOptions.reporting { () async throws -> Bool in
            let configuration = try await options.load(storeKind: "postgres")
            let logger = Logger(label: "tau") { _ in SwiftLogNoOpLogHandler() }
            do throws(StoreError) {
                return try await migrate(configuration, logger)
            } catch {
                Terminal.complain(error.message)
                throw ExitCode(74)
            }
        }
        if hasProblems { throw ExitCode(1) }
    }

    private func migrate(
        _ configuration: ServerConfiguration, _ logger: Logger
    ) async throws(StoreError) -> Bool {
        let postgres: PostgresStorage
        do {
            guard let tier = configuration.postgres else { throw StoreError(.unavailable, "no database is configured") }
            postgres = try PostgresStorage(try tier.settings(), logger: logger)
        } catch {
            throw (error as? StoreError) ?? StoreError(.unavailable, "\(error)")
        }
        let result: Result<Bool, StoreError>
        do throws(StoreError) {
            let steps = try await postgres.migrate()
            if let from {
                result = .success(try await copy(from, postgres, configuration, logger))
            } else {
                result = .success(tell(steps))
            }
        } catch {
            result = .failure(error)
        }
        try await postgres.close()
        return try result.get()
    }

    private func tell(_ steps: [String]) -> Bool {
        if json {
            Terminal.writeJSON(["steps": .array(steps.map { .string($0) })])
        } else if steps.isEmpty {
            print("The tables are of this version.")
        } else {
            for step in steps { print("done: \(step)") }
        }
        return false
    }

    /// Whether something could not be copied.
    private func copy(
        _ from: Kind, _ postgres: PostgresStorage, _ configuration: ServerConfiguration, _ logger: Logger
    ) async throws(StoreError) -> Bool {
        let directory: JSONLStorage
        do {
            directory = try JSONLStorage(
                directory: configuration.dataDirectory, settings: configuration.storage, logger: logger)
        } catch {
            throw (error as? StoreError) ?? StoreError(.unavailable, "\(configuration.dataDirectory): \(error)")
        }
        let files = directory.sessions
        // First, so that no session is there whose owner is not.
        let accounts =
            from == .jsonl
            ? AccountCopy(from: directory.accounts, to: postgres.accounts)
            : AccountCopy(from: postgres.accounts, to: directory.accounts)
        _ = try await accounts.run()
        let copy =
            from == .jsonl
            ? SessionCopy(from: files, to: postgres.sessions) : SessionCopy(from: postgres.sessions, to: files)
        let progress = ProgressLine("sessions")
        let report = try await copy.run { progress.show($0) }
        progress.end()
        try await files.shutDown()
        show(report)
        return !report.problems.isEmpty
    }

    private func show(_ report: SessionCopy.Report) {
        func reason(_ outcome: SessionCopy.Outcome) -> String {
            switch outcome {
            case .failed(_, let message): message
            case .differs: "the other store has another session of this id"
            case .copied, .same: ""
            }
        }
        if json {
            let problems = report.problems.map { problem -> JSONValue in
                ["id": .string(problem.id.rawValue), "reason": .string(reason(problem.outcome))]
            }
            return Terminal.writeJSON([
                "copied": .integer(report.copied), "same": .integer(report.same), "problems": .array(problems),
            ])
        }
        for problem in report.problems { Terminal.complain("\(problem.id): \(reason(problem.outcome))") }
        print("\(report.copied) sessions were copied, \(report.same) were there already.")
    }
}
