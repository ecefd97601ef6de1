internal import ArgumentParser
internal import TauCore

/// `tau sessions`: conversations.
struct SessionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sessions",
        abstract: "List, show, branch, fork, compact, label, rename, export, import, archive and delete sessions.",
        discussion: """
            EXAMPLES
              tau sessions list
              tau sessions tree 01a20aeb-…
              tau sessions import ~/.pi/agent/sessions/…/session.jsonl
            """,
        subcommands: [
            List.self, Show.self, Tree.self, SessionsBranchCommand.self, SessionsForkCommand.self,
            SessionsCompactCommand.self, SessionsLabelCommand.self, SessionsRenameCommand.self,
            SessionsExportCommand.self, SessionsImportCommand.self, SessionsArchiveCommand.self,
            SessionsRestoreCommand.self, SessionsDeleteCommand.self,
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
            Terminal.columns(columns, widths: widths)
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Show what the model is sent at a session's leaf, or at another entry.",
            discussion: """
                On a terminal a long text goes through $PAGER (less). --branch shows every message of the branch, also those that
                a summary stands for.

                \(ClientOptions.discussion)

                EXAMPLES
                  tau sessions show 01a20aeb-…
                  tau sessions show 01a20aeb-… --branch --last 20
                  tau sessions show 01a20aeb-… --leaf b9ac27aa
                  tau sessions show 01a20aeb-… --json
                """)

        @OptionGroup var client: ClientOptions
        @Argument(help: "The session's id.") var id: String

        @Option(help: ArgumentHelp("Show the branch that ends at this entry.", valueName: "entry"))
        var leaf: String?

        @Flag(help: "The whole branch from its root on, entry by entry.")
        var branch = false

        @Option(help: ArgumentHelp("Only the last messages.", valueName: "number"))
        var last: Int?

        @Flag(help: "As JSON: the context, or with --branch {\"entries\": [entry]}.")
        var json = false

        func validate() throws {
            if let last, last < 1 { throw ValidationError("--last must be at least 1") }
        }

        func run() async throws {
            try await client.run { client in
                if branch { return try await showBranch(client) }
                let query = leaf.map { "?leaf=\(TauClient.encoded($0))" } ?? ""
                let context = try await client.call("GET", "\(TauClient.path(ofSession: id))/context\(query)")
                if json { return Terminal.writeJSON(context) }
                let messages = context["messages"]?.array ?? []
                Pager.show(ConversationText(messages.suffix(last ?? messages.count)).lines)
            }
        }

        private func showBranch(_ client: TauClient) async throws {
            let path = TauClient.path(ofSession: id)
            var leaf = leaf
            if leaf == nil { leaf = try await client.call("GET", path)["leafId"]?.string }
            var entries: [String: JSONValue] = [:]
            for entry in try await client.list("\(path)/entries") { entries[entry["id"]?.string ?? ""] = entry }
            if let leaf, entries[leaf] == nil {
                throw ClientError(.usage, "there is no entry \(leaf) in this session")
            }
            var branch: [JSONValue] = []
            // Each entry is taken once: a circle of parents ends.
            while let id = leaf, let entry = entries.removeValue(forKey: id) {
                branch.append(entry)
                leaf = entry["parentId"]?.string
            }
            branch = Array(branch.prefix(last ?? branch.count).reversed())
            if json { return Terminal.writeJSON(["entries": .array(branch)]) }
            Pager.show(ConversationText(branch.map { $0["message"] ?? ConversationText.message(of: $0) }).lines)
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
                let tree = try await client.call("GET", "\(TauClient.path(ofSession: id))/tree")
                if json { return Terminal.writeJSON(tree) }
                for line in TreeDrawing(tree).lines { print(line) }
            }
        }
    }
}
