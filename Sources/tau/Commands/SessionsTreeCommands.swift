internal import ArgumentParser
internal import TauCore

/// `tau sessions branch`.
struct SessionsBranchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "branch", abstract: "Go on from an earlier entry: the next message hangs on it.",
        discussion: """
            Nothing is lost: the branch that is left stays in the tree. With --summarize the model sums it up, and the summary
            begins the new branch.

            \(ClientOptions.discussion)

            EXAMPLES
              tau sessions branch 01a20aeb-… b9ac27aa
              tau sessions branch 01a20aeb-… b9ac27aa --summarize --instructions "Why the first idea failed."
              tau sessions branch 01a20aeb-… root
            """)

    @OptionGroup var client: ClientOptions
    @Argument(help: "The session's id.") var id: String
    @Argument(help: "The entry's id; root is the place before the first entry.") var entry: String

    @Flag(help: "Sum up what is left behind.")
    var summarize = false

    @Option(help: ArgumentHelp("What the summary is to take care of.", valueName: "text"))
    var instructions: String?

    @Flag(help: "The session as JSON.")
    var json = false

    func validate() throws {
        guard summarize || instructions == nil else { throw ValidationError("--instructions are for --summarize") }
    }

    func run() async throws {
        try await client.runPatiently { client in
            var fields = JSONObject(members: [
                .init(key: "entryId", value: entry == "root" ? .null : .string(entry)),
                .init(key: "summarize", value: .bool(summarize)),
            ])
            if let instructions { fields.update("instructions", to: .string(instructions)) }
            let session = try await client.callPatiently(
                "POST", "\(TauClient.path(ofSession: id))/branch", .object(fields))
            if json { return Terminal.writeJSON(session) }
            print("The next message follows \(Terminal.line(session["leafId"]?.string ?? "the beginning", 64)).")
        }
    }
}

/// `tau sessions fork`.
struct SessionsForkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fork", abstract: "Make a session of one branch; prints the new session's id.",
        discussion: """
            \(ClientOptions.discussion)

            EXAMPLES
              tau sessions fork 01a20aeb-…
              tau sessions fork 01a20aeb-… --at b9ac27aa --name "Second try"
            """)

    @OptionGroup var client: ClientOptions
    @Argument(help: "The session's id.") var id: String

    @Option(help: ArgumentHelp("The branch's last entry; without it, the session's leaf.", valueName: "entry"))
    var at: String?

    @Option(help: "The name of the new session.")
    var name: String?

    @Flag(help: "The new session as JSON instead of its id.")
    var json = false

    func run() async throws {
        try await client.run { client in
            var fields = JSONObject()
            if let at { fields.update("entryId", to: .string(at)) }
            if let name { fields.update("name", to: .string(name)) }
            let session = try await client.call("POST", "\(TauClient.path(ofSession: id))/fork", .object(fields))
            if json { return Terminal.writeJSON(session) }
            print(Terminal.line(session["id"]?.string ?? "", 64))
        }
    }
}

/// `tau sessions label`.
struct SessionsLabelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "label", abstract: "Label an entry, to find it again in the tree.",
        discussion: """
            \(ClientOptions.discussion)

            EXAMPLES
              tau sessions label 01a20aeb-… b9ac27aa "works"
              tau sessions label 01a20aeb-… b9ac27aa          # takes the label away
            """)

    @OptionGroup var client: ClientOptions
    @Argument(help: "The session's id.") var id: String
    @Argument(help: "The entry's id.") var entry: String
    @Argument(help: "The label; without one the entry's label is removed.") var label: String?

    @Flag(help: "The label's own entry as JSON.")
    var json = false

    func run() async throws {
        try await client.run { client in
            let path = "\(TauClient.path(ofSession: id))/labels/\(TauClient.encoded(entry))"
            let added = try await client.call("PUT", path, ["label": label.map { .string($0) } ?? .null])
            if json { Terminal.writeJSON(added) }
        }
    }
}

/// `tau sessions rename`.
struct SessionsRenameCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rename", abstract: "Name a session.",
        discussion: """
            \(ClientOptions.discussion)

            EXAMPLES
              tau sessions rename 01a20aeb-… "Release notes"
              tau sessions rename 01a20aeb-… ""                # takes the name away
            """)

    @OptionGroup var client: ClientOptions
    @Argument(help: "The session's id.") var id: String
    @Argument(help: "The name.") var name: String

    @Flag(help: "The session as JSON.")
    var json = false

    func run() async throws {
        try await client.run { client in
            let session = try await client.call("PATCH", TauClient.path(ofSession: id), ["name": .string(name)])
            if json { Terminal.writeJSON(session) }
        }
    }
}

/// `tau sessions compact`.
struct SessionsCompactCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compact", abstract: "Have the model sum up the older part of a session; prints the summary.",
        discussion: """
            The entries stay in the session; the model is sent the summary instead. Long sessions are compacted on their own
            before the model's window is full (see compaction.enabled).

            \(ClientOptions.discussion)

            EXAMPLES
              tau sessions compact 01a20aeb-…
              tau sessions compact 01a20aeb-… --instructions "Keep every file name."
            """)

    @OptionGroup var client: ClientOptions
    @Argument(help: "The session's id.") var id: String

    @Option(help: ArgumentHelp("What the summary is to take care of.", valueName: "text"))
    var instructions: String?

    @Flag(help: "The compaction's entry as JSON.")
    var json = false

    func run() async throws {
        try await client.runPatiently { client in
            let fields: JSONValue = instructions.map { ["instructions": .string($0)] } ?? [:]
            let entry = try await client.callPatiently("POST", "\(TauClient.path(ofSession: id))/compact", fields)
            if json { return Terminal.writeJSON(entry) }
            print(Terminal.harmless(entry["summary"]?.string ?? ""))
        }
    }
}
