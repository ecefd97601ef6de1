internal import ArgumentParser
internal import TauCore

/// The version of this build.
enum TauVersion {
    static let current = "0.1.0"
}

/// `tau version`.
struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Show the version.",
        discussion: """
            EXAMPLES
              tau version
              tau version --json
            """)

    @Flag(help: "As JSON.")
    var json = false

    func run() {
        print(json ? (["version": .string(TauVersion.current)] as JSONValue).text : "tau \(TauVersion.current)")
    }
}
