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
        subcommands: [
            ServeCommand.self, RunCommand.self, SessionsCommand.self, RunsCommand.self, StoreCommand.self,
            ArchiveCommand.self, KeysCommand.self, UsersCommand.self, UsageCommand.self, AuditCommand.self,
            BenchCommand.self,
            VersionCommand.self,
        ])

    /// As the library does it, but errors begin with the program's name, as everywhere on this command line.
    static func main() async {
        do {
            var command = try await asyncParseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            let code = exitCode(for: error)
            let message = fullMessage(for: error)
            guard code == .validationFailure, message.hasPrefix("Error: ") else { exit(withError: error) }
            Terminal.complain(String(message.dropFirst("Error: ".count)))
            exit(withError: code)
        }
    }
}
