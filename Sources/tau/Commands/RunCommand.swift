internal import ArgumentParser
internal import TauCore

/// `tau run`: one message, streamed to the terminal.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Send one message and show the answer as it comes.",
        discussion: """
            The answer goes to standard output, tool calls and the rest to standard error. Ctrl-C cancels the run; what was
            said so far is kept. A second Ctrl-C ends at once.

            \(ClientOptions.discussion)

            EXAMPLES
              tau run "What is in this directory?"
              tau run --session 01a20aeb-… "And now?"
              tau run --model anthropic/claude-sonnet-4-5 --thinking high "Why is the sky blue?"
              git diff | tau run - > review.txt
              tau run --approvals approve --max-cost 0.50 "Tidy this directory up."
              tau run --json "Hello." | grep entry_appended

            EXIT CODES
              0   completed                      1    the run failed
              64  wrong usage                    69   the server cannot be reached
              77  the key was not accepted       78   wrong configuration
              130 cancelled
            """)

    @OptionGroup var client: ClientOptions

    @Argument(help: "The message; - reads it from standard input.")
    var message: String?

    @Option(help: ArgumentHelp("Go on with this session; without it a new one is made.", valueName: "id"))
    var session: String?

    @Option(help: ArgumentHelp("provider/id, or auto.", valueName: "model"))
    var model: String?

    @Option(help: ArgumentHelp("off, minimal, low, medium, high, xhigh or max.", valueName: "level"))
    var thinking: String?

    @Option(help: "The name of the new session.")
    var name: String?

    @Option(help: ArgumentHelp("Turns after which the run ends.", valueName: "number"))
    var maxTurns: Int?

    @Option(
        help: ArgumentHelp(
            "Tool calls that need an approval: ask, approve, deny, or wait for somebody else (tau runs approve). Default: ask on a terminal, else deny.",
            valueName: "what"))
    var approvals: ApprovalMode?

    @Option(help: ArgumentHelp("US dollars after which the run ends.", valueName: "dollars"))
    var maxCost: Double?

    @Flag(help: "Each event as one line of JSON.")
    var json = false

    /// Bytes of a message from standard input.
    private static let maxInputBytes = 4 << 20

    func validate() throws {
        guard session == nil || name == nil else { throw ValidationError("--name is for a new session") }
    }

    func run() async throws {
        // Before a server is looked for or started: a mistake in usage should not wait for one.
        let text = try await ClientOptions.reporting { try readMessage() }
        try await client.run { client in
            let watcher = RunWatcher(
                client: client, session: try await findSession(client), printsJSON: json,
                approvals: approvals ?? .standard)
            try await watcher.run(body(text))
        }
    }

    private func findSession(_ client: TauClient) async throws -> String {
        if let session { return session }
        let fields: JSONValue = name.map { ["name": .string($0)] } ?? [:]
        guard let id = try await client.call("POST", "/sessions", fields)["id"]?.string else {
            throw ClientError(.problem(code: "bad_answer"), "the server's answer names no session")
        }
        return id
    }

    private func body(_ text: String) -> JSONValue {
        var fields = JSONObject(members: [.init(key: "message", value: .string(text))])
        if let model { fields.update("model", to: .string(model)) }
        if let thinking { fields.update("thinkingLevel", to: .string(thinking)) }
        if let maxCost { fields.update("maxCost", to: .double(maxCost)) }
        if let maxTurns { fields.update("maxTurns", to: .integer(maxTurns)) }
        return .object(fields)
    }

    private func readMessage() throws -> String {
        let text: String
        if let message, message != "-" {
            text = message
        } else {
            guard message == "-" || !Terminal.inputIsTerminal else {
                throw ClientError(.usage, "say what to do: tau run \"message\"")
            }
            text = try readInput()
        }
        guard text.contains(where: { !$0.isWhitespace }) else { throw ClientError(.usage, "the message is empty") }
        return text
    }

    private func readInput() throws -> String {
        guard let bytes = try LocalFile.read("-", limit: Self.maxInputBytes) else {
            throw ClientError(.usage, "the message is longer than \(Self.maxInputBytes) bytes")
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
