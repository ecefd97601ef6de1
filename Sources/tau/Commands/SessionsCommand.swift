internal import ArgumentParser
internal import TauCore

/// `tau sessions`: conversations.
struct SessionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sessions", abstract: "List, show, branch, fork, compact, label, rename, export, import and delete sessions.",
        discussion: """
            EXAMPLES
              tau sessions list
              tau sessions tree 01a20aeb-…
              tau sessions import ~/.pi/agent/sessions/…/session.jsonl
            """,
        subcommands: [
            List.self, Show.self, Tree.self, SessionsBranchCommand.self, SessionsForkCommand.self,
            SessionsCompactCommand.self, SessionsLabelCommand.self, SessionsRenameCommand.self,
            SessionsExportCommand.self, SessionsImportCommand.self, SessionsDeleteCommand.self,
        ])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List sessions, the latest first.",
            discussion: """
                \(ClientOptions.discussion)

                EXAMPLES
                  tau sessions list
                  tau sessions list --query "release notes" --limit 10
                  tau sessions list --all --json
                """)

        @OptionGroup var client: ClientOptions

        @Option(help: ArgumentHelp("Only sessions whose name or messages hold these words.", valueName: "words"))
        var query: String?

        @Option(help: ArgumentHelp("How many at most.", valueName: "number"))
        var limit = 50

        @Flag(help: "All of them.")
        var all = false

        @Flag(help: "As JSON: {\"data\": [session]}.")
        var json = false

        func validate() throws {
            guard limit > 0 else { throw ValidationError("--limit must be at least 1") }
        }

        func run() async throws {
            try await client.run { client in
                let query = self.query.map { [("q", $0)] } ?? []
                let sessions = try await client.list("/sessions", query: query, limit: all ? .max : limit)
                if json { return Terminal.writeJSON(["data": .array(sessions)]) }
                if Terminal.outputIsTerminal {
                    // Titles are for people; a program wants a session in every line.
                    print(sessions.isEmpty ? "There are no sessions." : Terminal.styled(Self.titles, .dim))
                }
                for session in sessions { print(Self.line(session)) }
            }
        }

        private static func line(_ session: JSONValue) -> String {
            let cost = session["usage"]?["cost"]?["total"]?.double.map {
                "$" + JSONWriter.javaScriptNumber(($0 * 1e4).rounded() / 1e4)
            }
            return columns(
                Terminal.line(session["id"]?.string ?? "", 64),
                Terminal.line(String((session["updatedAt"]?.string ?? "").prefix(16)), 16),
                "\(session["entryCount"]?.integer ?? 0) entries", cost ?? "-",
                Terminal.line(session["name"]?.string ?? "", 60))
        }

        private static let titles = columns("ID", "UPDATED", "ENTRIES", "COST", "NAME")

        private static func columns(_ columns: String..., widths: [Int] = [36, 16, 14, 10, 0]) -> String {
            let padded = zip(columns, widths).map { text, width in
                text + String(repeating: " ", count: max(0, width - text.count))
            }
            return padded.joined(separator: "  ")
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Show a session's current branch.",
            discussion: """
                \(ClientOptions.discussion)

                EXAMPLES
                  tau sessions show 01a20aeb-… | less -R
                  tau sessions show 01a20aeb-… --leaf b9ac27aa
                  tau sessions show 01a20aeb-… --json
                """)

        @OptionGroup var client: ClientOptions
        @Argument(help: "The session's id.") var id: String

        @Option(help: ArgumentHelp("Show the branch that ends at this entry.", valueName: "entry"))
        var leaf: String?

        @Flag(help: "The context as JSON.")
        var json = false

        func run() async throws {
            try await client.run { client in
                let query = leaf.map { "?leaf=\(TauClient.encoded($0))" } ?? ""
                let context = try await client.call("GET", "/sessions/\(TauClient.encoded(id))/context\(query)")
                if json { return Terminal.writeJSON(context) }
                for line in ConversationText(context).lines { print(line) }
            }
        }
    }

    struct Tree: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "tree", abstract: "Draw a session's tree; ← marks where the next message goes.",
            discussion: """
                \(ClientOptions.discussion)

                EXAMPLES
                  tau sessions tree 01a20aeb-…
                  tau sessions tree 01a20aeb-… --json
                """)

        @OptionGroup var client: ClientOptions
        @Argument(help: "The session's id.") var id: String

        @Flag(help: "As JSON.")
        var json = false

        func run() async throws {
            try await client.run { client in
                let tree = try await client.call("GET", "/sessions/\(TauClient.encoded(id))/tree")
                if json { return Terminal.writeJSON(tree) }
                for line in TreeDrawing(tree).lines { print(line) }
            }
        }
    }
}
