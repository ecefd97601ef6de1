internal import ArgumentParser

@main
struct Tau: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tau", abstract: "Agents, served.", subcommands: [ServeCommand.self, BenchCommand.self])
}
