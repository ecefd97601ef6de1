internal import ArgumentParser

/// The command line.
@main
struct Tau: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tau", abstract: "Agents in the style of Pi, served.",
        discussion: """
            EXAMPLES
              tau serve
              tau run "What is in this directory?"
              tau sessions list
            """,
        version: "tau \(TauVersion.current)",
        subcommands: [ServeCommand.self, RunCommand.self, SessionsCommand.self, BenchCommand.self, VersionCommand.self])
}
