internal import ArgumentParser
internal import Glibc
internal import Synchronization
internal import TauCore
internal import UnixSignals

/// Follows one run to its end: shows it, cancels it on Ctrl-C, and goes on after a broken connection.
final class RunWatcher: Sendable {
    private struct State {
        var run: String?
        var lastNumber = 0
        var renderer = RunRenderer()
        var final: JSONValue?
        var wantsCancellation = false
        var hasSentCancellation = false

        /// The run that is to be cancelled now; only once, and only when its id is known.
        mutating func takeCancellation() -> String? {
            guard wantsCancellation, !hasSentCancellation, let run else { return nil }
            hasSentCancellation = true
            return run
        }
    }

    let client: TauClient
    let session: String
    let printsJSON: Bool
    let approvals: ApprovalMode
    private let state = Mutex(State())
    /// Broken connections in a row that are taken up again.
    private static let maxReconnects = 5
    private static let finalStatuses = ["completed", "failed", "cancelled", "interrupted"]

    init(client: TauClient, session: String, printsJSON: Bool, approvals: ApprovalMode) {
        self.client = client
        self.session = session
        self.printsJSON = printsJSON
        self.approvals = approvals
    }

    func run(_ body: JSONValue) async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await self.follow(body)
                return true
            }
            group.addTask {
                await self.watchSignals()
                return false
            }
            defer { group.cancelAll() }
            while let hasEnded = try await group.next(), !hasEnded {}
        }
        try conclude()
    }

    // MARK: Events

    private func follow(_ body: JSONValue) async throws {
        let path = "/sessions/\(TauClient.encoded(session))/runs"
        var failures = 0
        while true {
            let (run, number) = state.withLock { ($0.run, $0.lastNumber) }
            do {
                if let run {
                    let events = "/runs/\(TauClient.encoded(run))/events"
                    try await client.events("GET", events, nil, after: number, show)
                } else {
                    try await client.events("POST", path, body, after: nil, show)
                }
            } catch let error as ClientError where error.isUnreachable && state.withLock({ $0.run }) != nil {
                // Taken up again below. What a server refuses it would refuse again.
            }
            let (current, last, final) = state.withLock { ($0.run, $0.lastNumber, $0.final) }
            if final != nil { return }
            guard current != nil else {
                throw ClientError(.unreachable, "the server ended the connection before the run began")
            }
            failures = last > number ? 0 : failures + 1
            guard failures < Self.maxReconnects else {
                throw ClientError(.unreachable, "the connection broke; the run goes on in session \(session)")
            }
            try await Task.sleep(for: .milliseconds(200 << failures))
        }
    }

    private func show(_ event: TauClient.Event) async {
        let (pieces, cancelled) = state.withLock { state -> ([RunRenderer.Piece], String?) in
            if event.number > 0 { state.lastNumber = event.number }
            if event.type == "run_state", let run = event.json["run"] {
                state.run = run["id"]?.string
                if Self.finalStatuses.contains(run["status"]?.string ?? "") { state.final = run }
            }
            return (state.renderer.pieces(of: event), state.takeCancellation())
        }
        if printsJSON { Terminal.writeJSON(event.data) } else { pieces.forEach(Self.show) }
        if let cancelled { await cancel(cancelled) }
        if event.type == "approval_required" { await decide(on: event.json["toolCallId"]?.string ?? "") }
    }

    private func decide(on call: String) async {
        guard let run = state.withLock({ $0.run }), let decision = await approvals.decision() else { return }
        do {
            _ = try await client.call("POST", "/runs/\(run)/approvals/\(TauClient.encoded(call))", decision)
        } catch {
            // The time may have been over, or somebody else was faster.
            Terminal.complain("the decision was not taken: \(error)")
        }
    }

    private static func show(_ piece: RunRenderer.Piece) {
        switch piece {
        case .text(let text): Terminal.write(text)
        case .note(let text): Terminal.note(text)
        case .thinking(let text):
            // Into a pipe only what counts.
            if Terminal.errorsAreTerminal { Terminal.noteWithoutEnd(Terminal.styled(text, .dim, onErrors: true)) }
        }
    }

    // MARK: Cancellation

    private func watchSignals() async {
        for await _ in await UnixSignalsSequence(trapping: .sigint) {
            let (isSecond, cancelled) = state.withLock { state in
                let isSecond = state.wantsCancellation
                state.wantsCancellation = true
                return (isSecond, state.takeCancellation())
            }
            guard !isSecond else { _exit(130) }
            Terminal.note("cancelling…")
            // Before the first event no id is known: `show` cancels as soon as it is, else the run would go on unseen.
            if let cancelled { await cancel(cancelled) }
        }
    }

    private func cancel(_ run: String) async {
        do {
            _ = try await client.call("POST", "/runs/\(TauClient.encoded(run))/cancel")
        } catch {
            // The run may have ended in this moment: the stream says what became of it.
            Terminal.complain("the run could not be cancelled: \(error)")
        }
    }

    // MARK: End

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
