/// The work on one user message, from its arrival until the agent stops.
public struct Run: Sendable {
    public enum Status: String, Sendable {
        case queued, running, waiting, completed, failed, cancelled, interrupted

        /// Whether nothing more will happen.
        public var isFinal: Bool {
            switch self {
            case .queued, .running, .waiting: false
            case .completed, .failed, .cancelled, .interrupted: true
            }
        }
    }

    /// Why a run failed.
    public struct Failure: Sendable, Equatable {
        public var code: String
        public var message: String

        public init(code: String, message: String) {
            self.code = code
            self.message = message
        }
    }

    public var id: RunID
    public var sessionID: SessionID
    public var status: Status
    public var createdAt: Timestamp
    public var startedAt: Timestamp?
    public var finishedAt: Timestamp?
    /// The one that answers now; another one where a fallback has taken over.
    public var model: ModelReference
    /// Why this model, where Tau chose it.
    public var choice: AutomaticChoice?
    public var usage: Usage
    public var failure: Failure?
    public var leafID: EntryID?
    /// Tool calls that a person has to decide on before the run goes on.
    public var pendingApprovals: [ToolCall] = []
    /// The server that it runs on.
    public var node: String

    public init(
        id: RunID, sessionID: SessionID, status: Status, createdAt: Timestamp, model: ModelReference,
        choice: AutomaticChoice? = nil, leafID: EntryID?, node: String
    ) {
        self.id = id
        self.sessionID = sessionID
        self.status = status
        self.createdAt = createdAt
        self.model = model
        self.choice = choice
        usage = Usage()
        self.leafID = leafID
        self.node = node
    }
}

extension ModelReference {
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("provider", provider)
            writer.member("id", id)
        }
    }
}

extension Run {
    /// The API's form of a run.
    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("id", id.rawValue)
            writer.member("sessionId", sessionID.rawValue)
            writer.member("status", status.rawValue)
            writer.member("createdAt", createdAt.description)
            writer.member("startedAt", orNull: startedAt?.description)
            writer.member("finishedAt", orNull: finishedAt?.description)
            writer.key("model")
            model.write(to: &writer)
            writer.key("choice")
            if let choice { choice.write(to: &writer) } else { writer.null() }
            writer.key("usage")
            usage.write(to: &writer)
            writer.key("error")
            if let failure {
                writer.object { writer in
                    writer.member("code", failure.code)
                    writer.member("message", failure.message)
                }
            } else {
                writer.null()
            }
            writer.member("leafId", orNull: leafID?.rawValue)
            writer.key("pendingApprovals")
            writer.array { writer in
                for call in pendingApprovals { writer.object { call.writeApproval(to: &$0) } }
            }
            writer.member("node", node)
        }
    }
}

extension ToolCall {
    /// The members of a call that waits for a decision.
    func writeApproval(to writer: inout JSONWriter) {
        writer.member("toolCallId", id)
        writer.member("toolName", name)
        writer.key("arguments")
        writer.value(arguments)
    }
}

extension Run {
    /// Reads what `write` has written; nil where something is missing that every run has.
    public init?(json: JSONValue?) {
        func time(_ name: String) -> Timestamp? { json?[name]?.string.flatMap { Timestamp($0) } }
        guard let json, let id = json["id"]?.string.flatMap({ RunID($0) }),
            let session = json["sessionId"]?.string.flatMap({ SessionID($0) }),
            let status = json["status"]?.string.flatMap(Status.init), let created = time("createdAt"),
            let provider = json["model"]?["provider"]?.string, let model = json["model"]?["id"]?.string
        else { return nil }
        self.init(
            id: id, sessionID: session, status: status, createdAt: created,
            model: ModelReference(provider: provider, id: model), choice: AutomaticChoice(json: json["choice"]),
            leafID: json["leafId"]?.string.map { EntryID(unchecked: $0) }, node: json["node"]?.string ?? "")
        startedAt = time("startedAt")
        finishedAt = time("finishedAt")
        usage = Usage(json: json["usage"])
        if let code = json["error"]?["code"]?.string {
            failure = Failure(code: code, message: json["error"]?["message"]?.string ?? "")
        }
        pendingApprovals = (json["pendingApprovals"]?.array ?? []).compactMap { call in
            guard let id = call["toolCallId"]?.string, let name = call["toolName"]?.string else { return nil }
            return ToolCall(id: id, name: name, arguments: call["arguments"]?.object ?? JSONObject())
        }
    }
}
