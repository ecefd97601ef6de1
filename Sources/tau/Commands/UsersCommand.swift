internal import ArgumentParser
internal import TauCore

/// `tau users`: who may have keys.
struct UsersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "users", abstract: "Add, list, change, disable and delete users.",
        discussion: """
            An admin manages the users and keys of the tenant, a user works, a viewer only reads. All of them see their own
            sessions and nobody else's.

            EXAMPLES
              tau users add alice
              tau users add bob --tenant acme --role viewer
              tau keys create alice
            """,
        subcommands: [Add.self, List.self, SetRole.self, Disable.self, Enable.self, Delete.self])

    /// The user that a command is about.
    struct UserOptions: ParsableArguments {
        @Argument(help: "The user's id.") var user: String

        @Option(help: ArgumentHelp("The user's tenant. Default: the one of the key.", valueName: "tenant"))
        var tenant: String?

        var path: String {
            "/admin/users/\(TauClient.encoded(user))" + (tenant.map { "?tenantId=\(TauClient.encoded($0))" } ?? "")
        }
    }

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add a user.",
            discussion: """
                \(ClientOptions.discussion)

                EXAMPLES
                  tau users add alice
                  tau users add bob@example.com --tenant acme --role admin
                """)

        @OptionGroup var client: ClientOptions
        @OptionGroup var user: UserOptions
        @Option(help: ArgumentHelp("admin, user or viewer.", valueName: "role")) var role = "user"
        @Flag(help: "As JSON.") var json = false

        func run() async throws {
            try await client.run { client in
                var body: JSONObject = .init(members: [
                    .init(key: "id", value: .string(user.user)), .init(key: "role", value: .string(role)),
                ])
                if let tenant = user.tenant { body["tenantId"] = .string(tenant) }
                UsersCommand.show(try await client.call("POST", "/admin/users", .object(body)), json: json)
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List users.",
            discussion: """
                \(ClientOptions.discussion)

                EXAMPLES
                  tau users list
                  tau users list --tenant acme --json
                """)

        @OptionGroup var client: ClientOptions
        @Option(help: ArgumentHelp("Only of this tenant.", valueName: "tenant")) var tenant: String?
        @Flag(help: "As JSON: {\"data\": [user]}.") var json = false

        func run() async throws {
            try await client.run { client in
                let users = try await client.list("/admin/users", query: tenant.map { [("tenantId", $0)] } ?? [])
                if json { return Terminal.writeJSON(["data": .array(users)]) }
                if Terminal.outputIsTerminal { print(Terminal.styled(UsersCommand.titles, .dim)) }
                for user in users { print(UsersCommand.line(user)) }
            }
        }
    }

    struct SetRole: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "role", abstract: "Change a user's role.",
            discussion: """
                \(ClientOptions.discussion)

                EXAMPLES
                  tau users role alice admin
                """)

        @OptionGroup var client: ClientOptions
        @OptionGroup var user: UserOptions
        @Argument(help: "admin, user or viewer.") var role: String

        func run() async throws {
            try await client.run { client in
                UsersCommand.show(try await client.call("PATCH", user.path, ["role": .string(role)]), json: false)
            }
        }
    }

    struct Disable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Refuse all keys of a user, on all servers within 5 seconds.",
            discussion: """
                \(ClientOptions.discussion)

                EXAMPLES
                  tau users disable alice
                """)

        @OptionGroup var client: ClientOptions
        @OptionGroup var user: UserOptions

        func run() async throws { try await client.change(user, isDisabled: true) }
    }

    struct Enable: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a disabled user in again.",
            discussion: """
                \(ClientOptions.discussion)

                EXAMPLES
                  tau users enable alice
                """)

        @OptionGroup var client: ClientOptions
        @OptionGroup var user: UserOptions

        func run() async throws { try await client.change(user, isDisabled: false) }
    }

    struct Delete: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete a user with all sessions, workspaces, archives and keys. There is no way back.",
            discussion: """
                Answers what was removed. What could not be is named, and the user stays disabled: say it again.

                \(ClientOptions.discussion)

                EXAMPLES
                  tau users delete alice
                  tau users delete --yes bob --tenant acme --json
                """)

        @OptionGroup var client: ClientOptions
        @OptionGroup var user: UserOptions
        @Flag(name: .shortAndLong, help: "Do not ask.") var yes = false
        @Flag(help: "As JSON.") var json = false

        func run() async throws {
            try await ClientOptions.reporting {
                try Terminal.confirm("Delete the user \(user.user) and all that is theirs for good?", isConfirmed: yes)
            }
            try await client.runPatiently { client in
                let report = try await client.callPatiently("DELETE", user.path)
                if json {
                    Terminal.writeJSON(report)
                } else {
                    print("\(report["deletedSessions"]?.integer ?? 0) sessions were deleted.")
                }
                let failures = report["failures"]?.array ?? []
                guard !failures.isEmpty else { return }
                for failure in failures {
                    Terminal.complain("\(failure["sessionId"]?.string ?? ""): \(failure["reason"]?.string ?? "")")
                }
                throw ExitCode(1)
            }
        }
    }

    fileprivate static func show(_ user: JSONValue, json: Bool) {
        if json { Terminal.writeJSON(user) } else { print(line(user)) }
    }

    private static let titles = columns("TENANT", "ID", "ROLE", "STATE")

    private static func line(_ user: JSONValue) -> String {
        columns(
            user["tenantId"]?.string ?? "", user["id"]?.string ?? "", user["role"]?.string ?? "",
            user["disabled"]?.bool == true ? "disabled" : "")
    }

    private static func columns(_ columns: String...) -> String { Terminal.columns(columns, widths: [16, 28, 8, 0]) }
}

extension ClientOptions {
    fileprivate func change(_ user: UsersCommand.UserOptions, isDisabled: Bool) async throws {
        try await run { client in
            let changed = try await client.call("PATCH", user.path, ["disabled": .bool(isDisabled)])
            UsersCommand.show(changed, json: false)
        }
    }
}
