public import TauCore
public import TauRuntime

/// What happens in a run, for a program that shows it.
public enum RunUpdate: Sendable {
    /// A piece of the answer.
    case text(String)
    /// A piece of what the model thinks.
    case thinking(String)
    case toolCall(ToolCall)
    case toolResult(callID: String, text: String, isError: Bool)
    /// A tool call waits for `AgentRuntime.decide`.
    case approvalRequired(ToolCall)
    /// The run is over, or waits: the last update is the former.
    case state(Run)
}

/// The updates of one run, from its beginning to its end; any number of readers may have them, at any time.
public struct RunUpdates: AsyncSequence {
    public typealias Element = RunUpdate

    fileprivate let run: ActiveRun

    public func makeAsyncIterator() -> Iterator { Iterator(run: run) }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let run: ActiveRun
        private var number = 0
        private var records: ArraySlice<EventJournal.Record> = []

        fileprivate init(run: ActiveRun) { self.run = run }

        /// Throws `CancellationError` when the reader's task is cancelled.
        public mutating func next() async throws -> RunUpdate? {
            while true {
                while let record = records.popFirst() {
                    number = record.number
                    if let update = try RunUpdate(record) { return update }
                }
                guard let more = try await run.journal.events(after: number) else { return nil }
                records = more[...]
            }
        }
    }
}

extension ActiveRun {
    /// What happens in the run.
    public var updates: RunUpdates { RunUpdates(run: self) }
}

extension Agent {
    /// Makes a session.
    public func newSession(_ draft: SessionDraft = SessionDraft()) async throws -> SessionID {
        try await runtime.createSession(draft).summary.id
    }

    /// Sends a message; returns once it is durable and the run is on its way.
    public func send(_ text: String, to session: SessionID) async throws -> ActiveRun {
        try await runtime.startRun(RunRequest(content: [.text(text)]), in: session)
    }
}

extension RunUpdate {
    fileprivate init?(_ record: EventJournal.Record) throws {
        let json = try JSONValue(parsing: record.data)
        func call(_ arguments: String) -> ToolCall {
            ToolCall(
                id: json["toolCallId"]?.string ?? "", name: json["toolName"]?.string ?? "",
                arguments: json[arguments]?.object ?? JSONObject())
        }
        switch record.type {
        case "message_update":
            let update = json["assistantMessageEvent"]
            guard let delta = update?["delta"]?.string else { return nil }
            switch update?["type"]?.string {
            case "text_delta": self = .text(delta)
            case "thinking_delta": self = .thinking(delta)
            default: return nil
            }
        case "tool_execution_start": self = .toolCall(call("args"))
        case "tool_execution_end":
            let texts = (json["result"]?["content"]?.array ?? []).compactMap { $0["text"]?.string }
            self = .toolResult(
                callID: json["toolCallId"]?.string ?? "", text: texts.joined(separator: "\n"),
                isError: json["isError"]?.bool ?? false)
        case "approval_required": self = .approvalRequired(call("arguments"))
        case "run_state":
            guard let run = Run(json: json["run"]) else { return nil }
            self = .state(run)
        default: return nil
        }
    }
}
