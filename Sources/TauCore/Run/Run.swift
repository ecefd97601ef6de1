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
    public var model: ModelReference
    public var usage: Usage
    public var failure: Failure?
    public var leafID: EntryID?
    /// The server that it runs on.
    public var node: String

    public init(
        id: RunID, sessionID: SessionID, status: Status, createdAt: Timestamp, model: ModelReference,
        leafID: EntryID?, node: String
    ) {
        self.id = id
        self.sessionID = sessionID
        self.status = status
        self.createdAt = createdAt
        self.model = model
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
            writer.array { _ in }
            writer.member("node", node)
        }
    }
}
