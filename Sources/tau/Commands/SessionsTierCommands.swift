internal import ArgumentParser
internal import TauCore

/// `tau sessions archive`.
struct SessionsArchiveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "archive", abstract: "Move sessions to the archive. They are listed, found and read as before.",
        discussion: """
            The server needs a database and a bucket (archive.url). A message to an archived session brings it back.

            \(ClientOptions.discussion)

            EXAMPLES
              tau sessions archive 01a20aeb-…
              tau sessions list --all --json | jq -r '.data[].id' | xargs tau sessions archive
            """)

    @OptionGroup var client: ClientOptions
    @Argument(help: "The sessions' ids.") var ids: [String]

    func run() async throws { try await client.move(ids, "archive") }
}

/// `tau sessions restore`.
struct SessionsRestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Bring sessions back from the archive.",
        discussion: """
            \(ClientOptions.discussion)

            EXAMPLES
              tau sessions restore 01a20aeb-…
            """)

    @OptionGroup var client: ClientOptions
    @Argument(help: "The sessions' ids.") var ids: [String]

    func run() async throws { try await client.move(ids, "restore") }
}

extension ClientOptions {
    fileprivate func move(_ ids: [String], _ direction: String) async throws {
        try await run { client in
            let progress = ProgressLine("sessions")
            for (index, id) in ids.enumerated() {
                _ = try await client.call("POST", "\(TauClient.path(ofSession: id))/\(direction)")
                progress.show(index + 1, of: ids.count)
            }
            progress.end()
        }
    }
}
