internal import ArgumentParser
internal import Glibc
internal import Synchronization
internal import TauCore
internal import UnixSignals

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
              tau run --json "Hello." | grep entry_appended

            EXIT CODES
              0  completed    1  failed    64  wrong usage    69  no server    77  key not accepted    130  cancelled
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

    @Flag(help: "Each event as one line of JSON.")
    var json = false

    /// Bytes of a message from standard input.
    private static let maxInputBytes = 4 << 20

    func run() async throws {
        let text = try readMessage()
        try await client.run { client in
            let session: String
            if let given = self.session {
                session = given
            } else {
                let fields: JSONValue = name.map { ["name": .string($0)] } ?? [:]
                session = try await client.call("POST", "/sessions", fields)["id"]?.string ?? ""
            }
            let watcher = RunWatcher(client: client, session: session, printsJSON: json)
            try await watcher.run(body(text))
        }
    }

    private func body(_ text: String) -> JSONValue {
        var fields = JSONObject(members: [.init(key: "message", value: .string(text))])
        if let model { fields.update("model", to: .string(model)) }
        if let thinking { fields.update("thinkingLevel", to: .string(thinking)) }
        if let maxTurns { fields.update("maxTurns", to: .integer(maxTurns)) }
        return .object(fields)
    }

    private func readMessage() throws -> String {
        if let message, message != "-" { return message }
        guard message == "-" || !Terminal.inputIsTerminal else {
            throw ValidationError("say what to do: tau run \"message\"")
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = read(STDIN_FILENO, &buffer, buffer.count), count > 0 {
            bytes += buffer[..<count]
            guard bytes.count <= Self.maxInputBytes else {
                throw ValidationError("the message is longer than \(Self.maxInputBytes) bytes")
            }
        }
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.contains(where: { !$0.isWhitespace }) else { throw ValidationError("the message is empty") }
        return text
    }
}

/// Follows one run to its end: shows it, cancels it on Ctrl-C, and goes on after a broken connection.
private final class RunWatcher: Sendable {
    private struct State {
        var run: String?
        var lastNumber = 0
        var renderer = RunRenderer()
        var final: JSONValue?
        var isCancelled = false
    }

    let client: TauClient
    let session: String
    let printsJSON: Bool
    private let state = Mutex(State())
    /// Broken connections in a row that are taken up again.
    private static let maxReconnects = 5

    init(client: TauClient, session: String, printsJSON: Bool) {
        self.client = client
        self.session = session
        self.printsJSON = printsJSON
    }

    func run(_ body: JSONValue) async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await self.follow(body)
                return true
            }
            group.addTask {
                try await self.watchSignals()
                return false
            }
            defer { group.cancelAll() }
            while let hasEnded = try await group.next(), !hasEnded {}
        }
        try conclude()
    }

    private func follow(_ body: JSONValue) async throws {
        let path = "/sessions/\(TauClient.encoded(session))/runs"
        var failures = 0
        while true {
            let (run, number) = state.withLock { ($0.run, $0.lastNumber) }
            do {
                if let run {
                    try await client.events("GET", "/runs/\(run)/events", nil, after: number, show)
                } else {
                    try await client.events("POST", path, body, after: nil, show)
                }
            } catch let error as CancellationError {
                throw error
            } catch {
                // Without a run nothing can be taken up, and a server that refuses does so again.
                guard !(error is ClientError) || run != nil, state.withLock({ $0.run }) != nil else { throw error }
            }
            if state.withLock({ $0.final }) != nil { return }
            failures = state.withLock { $0.lastNumber } > number ? 0 : failures + 1
            guard failures < Self.maxReconnects else {
                throw ClientError(.unreachable, "the connection broke; the run goes on in session \(session)")
            }
            try await Task.sleep(for: .milliseconds(200 << failures))
        }
    }

    private func show(_ event: TauClient.Event) {
        let pieces = state.withLock { state -> [RunRenderer.Piece] in
            if event.number > 0 { state.lastNumber = event.number }
            if event.type == "run_state", let run = event.json["run"] {
                state.run = run["id"]?.string
                let status = run["status"]?.string ?? ""
                if ["completed", "failed", "cancelled", "interrupted"].contains(status) { state.final = run }
            }
            return state.renderer.pieces(of: event)
        }
        if printsJSON { return Terminal.write(bytes: event.data + [UInt8(ascii: "\n")]) }
        for piece in pieces {
            switch piece {
            case .text(let text): Terminal.write(text)
            case .note(let text): Terminal.note(text)
            case .thinking(let text):
                // Into a pipe only what counts.
                if Terminal.errorsAreTerminal { Terminal.noteWithoutEnd(Terminal.styled(text, .dim, onErrors: true)) }
            }
        }
    }

    private func watchSignals() async throws {
        for await _ in await UnixSignalsSequence(trapping: .sigint) {
            let (run, isSecond) = state.withLock { state in
                defer { state.isCancelled = true }
                return (state.run, state.isCancelled)
            }
            guard !isSecond, let run else { _exit(130) }
            Terminal.note("cancelling…")
            _ = try await client.call("POST", "/runs/\(run)/cancel")
        }
    }

    /// Says what came of it; a run that did not complete is an exit code.
    private func conclude() throws {
        let run = state.withLock { $0.final } ?? .null
        let usage = Usage(json: run["usage"])
        if !printsJSON {
            let cost =
                usage.cost.map { "$" + JSONWriter.javaScriptNumber(($0.total * 1e6).rounded() / 1e6) } ?? "unknown cost"
            let line = "session \(session) · \(usage.input) in, \(usage.output) out · \(cost)"
            Terminal.note(Terminal.styled(Terminal.harmless(line), .dim, onErrors: true))
        }
        switch run["status"]?.string {
        case "completed": return
        case "cancelled": throw ExitCode(130)
        default:
            Terminal.complain(
                run["error"]?["message"]?.string ?? "the run ended as \(run["status"]?.string ?? "unknown")")
            throw ExitCode(1)
        }
    }
}
