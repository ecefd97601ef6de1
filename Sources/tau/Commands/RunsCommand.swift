internal import ArgumentParser
internal import TauCore

/// `tau runs`: what the agent works on, and what waits for a person.
struct RunsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "runs", abstract: "List, show and cancel runs; approve or deny their tool calls.",
        discussion: """
            EXAMPLES
              tau runs list 01a20aeb-…
              tau runs approve 01a20b00-… call_1
            """,
        subcommands: [List.self, Show.self, Cancel.self, Approve.self, Deny.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "The runs of a session, the latest first.",
            discussion: ClientOptions.discussion)

        @OptionGroup var client: ClientOptions
        @Argument(help: "The session's id.") var session: String
        @Flag(help: "As JSON: {\"data\": [run]}.") var json = false

        func run() async throws {
            try await client.run { client in
                let runs = try await client.list("\(TauClient.path(ofSession: session))/runs", query: [], limit: .max)
                if json { return Terminal.writeJSON(["data": .array(runs)]) }
                for run in runs { print(RunsCommand.line(run)) }
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "One run, and the tool calls that wait for an approval.",
            discussion: ClientOptions.discussion)

        @OptionGroup var client: ClientOptions
        @Argument(help: "The run's id.") var id: String
        @Flag(help: "As JSON.") var json = false

        func run() async throws {
            try await client.run { client in
                let run = try await client.call("GET", RunsCommand.path(id))
                if json { return Terminal.writeJSON(run) }
                print(RunsCommand.line(run))
                if let error = run["error"]?["message"]?.string { print("  \(Terminal.line(error, 400))") }
                for call in run["pendingApprovals"]?.array ?? [] {
                    let name = Terminal.line(call["toolName"]?.string ?? "", 40)
                    print("  ? \(Terminal.line(call["toolCallId"]?.string ?? "", 64))  \(name)")
                    print("    \(Terminal.line(call["arguments"]?.text ?? "", 400))")
                }
            }
        }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "cancel", abstract: "Stop a run; what was said so far is kept.",
            discussion: ClientOptions.discussion)

        @OptionGroup var client: ClientOptions
        @Argument(help: "The run's id.") var id: String

        func run() async throws {
            try await client.run { client in _ = try await client.call("POST", "\(RunsCommand.path(id))/cancel") }
        }
    }

    struct Approve: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "approve", abstract: "Let a tool call that waits run.",
            discussion: """
                \(ClientOptions.discussion)

                EXAMPLES
                  tau runs show 01a20b00-…
                  tau runs approve 01a20b00-… call_1
                """)

        @OptionGroup var client: ClientOptions
        @Argument(help: "The run's id.") var id: String
        @Argument(help: "The tool call's id.") var call: String

        func run() async throws { try await RunsCommand.decide(client, id, call, ["decision": "approve"]) }
    }

    struct Deny: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "deny", abstract: "Do not let a tool call that waits run; the model is told why.",
            discussion: """
                \(ClientOptions.discussion)

                EXAMPLES
                  tau runs deny 01a20b00-… call_1 --reason "Not in this directory."
                """)

        @OptionGroup var client: ClientOptions
        @Argument(help: "The run's id.") var id: String
        @Argument(help: "The tool call's id.") var call: String
        @Option(help: "Why not, for the model.") var reason: String?

        func run() async throws {
            var fields: JSONObject = JSONObject(members: [.init(key: "decision", value: "deny")])
            if let reason { fields.update("reason", to: .string(reason)) }
            try await RunsCommand.decide(client, id, call, .object(fields))
        }
    }

    private static func decide(
        _ options: ClientOptions, _ id: String, _ call: String, _ decision: JSONValue
    ) async throws {
        try await options.run { client in
            _ = try await client.call("POST", "\(path(id))/approvals/\(TauClient.encoded(call))", decision)
        }
    }

    private static func path(_ id: String) -> String { "/runs/\(TauClient.encoded(id))" }

    /// Id, status, time, model: one line for a person or `awk`.
    static func line(_ run: JSONValue) -> String {
        let model = "\(run["model"]?["provider"]?.string ?? "")/\(run["model"]?["id"]?.string ?? "")"
        let parts = [run["id"]?.string, run["status"]?.string, run["createdAt"]?.string, model]
        return parts.map { Terminal.line($0 ?? "", 64) }.joined(separator: "  ")
    }
}
