internal import ArgumentParser
internal import TauCore

/// `tau sessions export`.
struct SessionsExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write a session file, byte for byte as stored.",
        discussion: """
            \(ClientOptions.discussion)

            EXAMPLES
              tau sessions export 01a20aeb-… > session.jsonl
              tau sessions export 01a20aeb-… --output session.jsonl --force
            """)

    @OptionGroup var client: ClientOptions
    @Argument(help: "The session's id.") var id: String

    @Option(help: ArgumentHelp("Write to a file of mode 0600 instead of standard output.", valueName: "file"))
    var output: String?

    @Flag(help: "Replace the file if it exists.")
    var force = false

    func run() async throws {
        try await client.run { client in
            let content = try await client.transfer("GET", "\(TauClient.path(ofSession: id))/export")
            guard let output else { return Terminal.writeJSON(content, end: "") }
            try LocalFile.write(content, to: output, replaces: force)
        }
    }
}

/// `tau sessions import`.
struct SessionsImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Take in a Pi session file of version 1, 2 or 3; prints the session's id.",
        discussion: """
            A file with a line that cannot be read is refused whole, and the lines are named.

            \(ClientOptions.discussion)

            EXAMPLES
              tau sessions import session.jsonl
              ssh laptop cat session.jsonl | tau sessions import -
            """)

    @OptionGroup var client: ClientOptions
    @Argument(help: "The file; - is standard input.") var file: String

    @Flag(help: "The session as JSON instead of its id.")
    var json = false

    func run() async throws {
        try await client.run { client in
            guard let content = try LocalFile.read(file, limit: TauClient.maxTransferBytes) else {
                throw ClientError(.usage, "\(file) is longer than \(TauClient.maxTransferBytes) bytes")
            }
            let answer = try await client.transfer("POST", "/sessions/import", bytes: content)
            let session = try JSONValue(parsing: answer)
            if json { return Terminal.writeJSON(session) }
            print(Terminal.line(session["id"]?.string ?? "", 64))
        }
    }
}

/// `tau sessions delete`.
struct SessionsDeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete sessions with their entries and workspaces. There is no way back.",
        discussion: """
            \(ClientOptions.discussion)

            EXAMPLES
              tau sessions delete 01a20aeb-…
              tau sessions delete --yes 01a20aeb-… 01a20aec-…
            """)

    @OptionGroup var client: ClientOptions
    @Argument(help: "The sessions' ids.") var ids: [String]

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false

    func run() async throws {
        try await ClientOptions.reporting {
            let what = ids.count == 1 ? "session \(ids[0])" : "\(ids.count) sessions"
            try Terminal.confirm("Delete \(what) for good?", isConfirmed: yes)
        }
        try await client.run { client in
            for id in ids { _ = try await client.call("DELETE", TauClient.path(ofSession: id)) }
        }
    }
}
