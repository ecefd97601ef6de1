internal import ArgumentParser
internal import TauCore
internal import TauSystem

/// `tau keys`: what programs show to be let in.
struct KeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Create, list and revoke API keys.",
        discussion: """
            EXAMPLES
              tau keys create alice
              tau keys create alice --name ci --scopes sessions:read,runs:read --days 90
              tau keys list
            """,
        subcommands: [Create.self, List.self, Revoke.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key, which is shown this once: only a hash of it is kept.",
            discussion: """
                The key alone is printed, so that it can go where it is needed.

                \(ClientOptions.discussion)

                EXAMPLES
                  tau keys create alice
                  tau keys create alice --name ci --scopes sessions:read,runs:read --days 90
                  tau keys create bob --tenant acme > bob.key
                """)

        @OptionGroup var client: ClientOptions

        @Argument(help: "The user's id. Default: the one who runs the server.") var user = "admin"

        @Option(help: ArgumentHelp("The user's tenant. Default: the one of the key.", valueName: "tenant"))
        var tenant: String?

        @Option(help: ArgumentHelp("What the key is for.", valueName: "text")) var name: String?

        @Option(
            help: ArgumentHelp(
                "What the key may do: some of \(Scopes.allNames.joined(separator: ", ")). Default: all that the user may.",
                valueName: "scopes"))
        var scopes: String?

        @Option(help: ArgumentHelp("The key ends after so many days. Default: never.", valueName: "number"))
        var days: Int?

        @Flag(help: "As JSON: all that is known of the key, and the key itself.") var json = false

        func validate() throws {
            if let days, !(1...36_500).contains(days) { throw ValidationError("--days must be from 1 to 36500") }
        }

        func run() async throws {
            try await client.run { client in
                var body = JSONObject(members: [.init(key: "userId", value: .string(user))])
                if let tenant { body["tenantId"] = .string(tenant) }
                if let name { body["name"] = .string(name) }
                if let scopes {
                    body["scopes"] = .array(scopes.split(separator: ",").map { .string(String($0)) })
                }
                if let days {
                    let end = Timestamp(milliseconds: wallClockMilliseconds() + Int64(days) * 86_400_000)
                    body["expiresAt"] = .string(end.description)
                }
                let key = try await client.call("POST", "/admin/keys", .object(body))
                if json { return Terminal.writeJSON(key) }
                print(key["key"]?.string ?? "")
                if Terminal.outputIsTerminal { Terminal.note("Keep it: it is not shown again.") }
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List keys, without their secrets.",
            discussion: """
                \(ClientOptions.discussion)

                EXAMPLES
                  tau keys list
                  tau keys list --tenant acme --json
                """)

        @OptionGroup var client: ClientOptions
        @Option(help: ArgumentHelp("Only of this tenant.", valueName: "tenant")) var tenant: String?
        @Flag(help: "As JSON: {\"data\": [key]}.") var json = false

        func run() async throws {
            try await client.run { client in
                let keys = try await client.list("/admin/keys", query: tenant.map { [("tenantId", $0)] } ?? [])
                if json { return Terminal.writeJSON(["data": .array(keys)]) }
                if Terminal.outputIsTerminal {
                    print(Terminal.styled(Self.columns("ID", "TENANT", "USER", "LAST USED", "STATE", "NAME"), .dim))
                }
                for key in keys { print(Self.line(key)) }
            }
        }

        private static func line(_ key: JSONValue) -> String {
            let state =
                key["revokedAt"]?.string != nil
                ? "revoked" : key["expiresAt"]?.string.map { "until \($0.prefix(10))" } ?? ""
            return columns(
                key["id"]?.string ?? "", key["tenantId"]?.string ?? "", key["userId"]?.string ?? "",
                String((key["lastUsedAt"]?.string ?? "-").prefix(16)), state,
                Terminal.line(key["name"]?.string ?? "", 60))
        }

        private static func columns(_ columns: String...) -> String {
            Terminal.columns(columns, widths: [12, 16, 20, 16, 16, 0])
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Refuse keys from now on, on all servers within 5 seconds. There is no way back.",
            discussion: """
                \(ClientOptions.discussion)

                EXAMPLES
                  tau keys revoke 4fJ0aZ…
                """)

        @OptionGroup var client: ClientOptions
        @Argument(help: "The keys' ids, the middle part of a key.") var ids: [String]

        func run() async throws {
            try await client.run { client in
                for id in ids { _ = try await client.call("DELETE", "/admin/keys/\(TauClient.encoded(id))") }
            }
        }
    }
}
