internal import ArgumentParser
internal import TauCore
internal import TauLimits

/// `tau audit`: the log of what was decided.
struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Check the log of what was decided.",
        discussion: """
            EXAMPLES
              tau audit verify
              tau audit verify --data-dir /var/lib/tau --json
            """,
        subcommands: [Verify.self])

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check that no line of the audit log was changed, taken out or put in.",
            discussion: """
                Reads audit.jsonl in the data directory; needs no server. The hash that it prints belongs elsewhere: with it also
                lines that were cut off at the end are noticed (--expect).

                EXAMPLES
                  tau audit verify
                  tau audit verify --expect 2c26b46b68ffc68f…

                EXIT CODES
                  0  the chain is whole    1  it is broken    66  it cannot be read
                """)

        @Option(help: ArgumentHelp("The data directory (TAU_DATA_DIR). Default: ./data", valueName: "directory"))
        var dataDir: String?

        @Option(help: ArgumentHelp("The configuration file. Default: tau.yaml", valueName: "file"))
        var config: String?

        @Option(help: ArgumentHelp("The hash of the last line, as it was told before.", valueName: "hash"))
        var expect: String?

        @Flag(help: "As JSON.") var json = false

        func run() async throws {
            try await ClientOptions.reporting {
                var overrides = ServerConfiguration.Overrides()
                overrides.configurationFile = config
                overrides.set("data.dir", dataDir)
                let path = try await ServerConfiguration.load(overrides).auditPath
                let report: AuditReport
                do throws(StoreError) {
                    report = try AuditReport(of: path)
                } catch {
                    Terminal.complain(error.message)
                    throw ExitCode(66)
                }
                var problem = report.broken.map { "line \($0.line): \($0.reason)" }
                if problem == nil, let expect, expect != report.lastHash {
                    problem = "the last line is another one than expected"
                }
                if json {
                    Terminal.writeJSON([
                        "lines": .integer(report.lines), "lastHash": .string(report.lastHash),
                        "problem": problem.map { .string($0) } ?? .null,
                    ])
                } else {
                    print("\(report.lines) lines are in their places. The last one's hash is \(report.lastHash)")
                    if let problem { Terminal.complain("\(path): \(problem)") }
                }
                if problem != nil { throw ExitCode(1) }
            }
        }
    }
}
