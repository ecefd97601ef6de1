internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import TauCore
internal import TauRuntime

/// `/sessions`: conversations as resources.
struct SessionRoutes: Sendable {
    let runtime: AgentRuntime
    let configuration: EdgeConfiguration

    /// The session that the path names; what cannot be an id does not exist.
    static func sessionID(_ context: EdgeContext) throws(Problem) -> SessionID {
        guard let id = context.parameters.get("id").flatMap({ SessionID($0) }) else {
            throw Problem(.notFound, "There is no such session.")
        }
        return id
    }

    func create(_ request: Request, _ context: EdgeContext, _ body: ByteBuffer) async throws
        -> IdempotentRequests.Answer
    {
        var fields = try RequestFields(body)
        var draft = SessionDraft()
        draft.name = fields.string("name")
        draft.model = fields.model("model")
        draft.thinkingLevel = fields.thinkingLevel("thinkingLevel")
        draft.systemPrompt = fields.string("systemPrompt", maxBytes: 1 << 20)
        draft.metadata = fields.object("metadata")
        draft.workingDirectory = fields.string("cwd", maxBytes: 4096)
        draft.toolNames = fields.strings("tools")
        try fields.finish()
        return Self.answer(
            try await runtime.createSession(
                draft, owner: try context.requirePrincipal().owner, attempt: context.attempt), .created)
    }

    func importFile(
        _ request: Request, _ context: EdgeContext, _ body: ByteBuffer
    ) async throws -> IdempotentRequests.Answer {
        let owner = try context.requirePrincipal().owner
        return Self.answer(
            try await runtime.importSession(Array(body.readableBytesView), owner: owner), .created)
    }

    private static func answer(
        _ view: AgentRuntime.SessionView, _ status: HTTPResponse.Status
    ) -> IdempotentRequests.Answer {
        let location = status == .created ? "\(RouteTable.root)/sessions/\(view.summary.id)" : nil
        return .json(status, location: location) {
            view.write(to: &$0)
        }
    }

    func list(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let owner = try context.requirePrincipal().owner
        let order = try request.query("order", "updatedAt or createdAt") { SessionQuery.Order(rawValue: $0) }
        let query = SessionQuery(
            owner: owner, search: request.uri.queryParameters["q"].map(String.init), order: order ?? .updatedAt,
            cursor: request.uri.queryParameters["cursor"].map(String.init), limit: try request.pageLimit())
        let page = try await runtime.listSessions(query)
        return .json { writer in
            writer.page(page.sessions, next: page.nextCursor) { writer, view in view.write(to: &writer) }
        }
    }

    func get(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let view = try await runtime.session(try Self.sessionID(context))
        return .json { view.write(to: &$0) }
    }

    func update(_ request: Request, _ context: EdgeContext) async throws -> Response {
        var request = request
        let id = try Self.sessionID(context)
        var fields = try RequestFields(try await request.boundedBody(upTo: configuration.maxBodyBytes))
        var update = SessionUpdate()
        // A name that is null or empty takes the name away.
        if fields.contains("name") { update.name = fields.string("name") ?? "" }
        update.model = fields.model("model")
        update.thinkingLevel = fields.thinkingLevel("thinkingLevel")
        update.metadata = fields.object("metadata")
        try fields.finish()
        let view = try await runtime.updateSession(id, update)
        return .json { view.write(to: &$0) }
    }

    func delete(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let id = try Self.sessionID(context)
        try await configuration.auditing.write(
            "session.delete", id.rawValue, context)
        try await runtime.deleteSession(id)
        return Response(status: .noContent)
    }

    func entries(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let id = try Self.sessionID(context)
        var position = EntryPosition.start
        if let after = request.uri.queryParameters["after"] { position = .entry(EntryID(unchecked: String(after))) }
        if let index = try request.query("cursor", "a cursor of this list", { Int($0) }) { position = .index(index) }
        let page = try await runtime.entries(of: id, after: position, limit: try request.pageLimit())
        return .json { writer in
            writer.page(page.lines, next: page.next.map(String.init)) { writer, line in writer.raw(line) }
        }
    }

    func tree(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let tree = try await runtime.tree(of: try Self.sessionID(context))
        return .json { writer in
            writer.object { writer in
                writer.member("leafId", orNull: tree.leafID?.rawValue)
                writer.key("nodes")
                writer.array { writer in for node in tree.nodes { node.write(to: &writer) } }
            }
        }
    }

    func context(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let leaf = request.uri.queryParameters["leaf"].map { EntryID(unchecked: String($0)) }
        let (content, tokens) = try await runtime.context(of: try Self.sessionID(context), leaf: leaf)
        return .json { writer in
            writer.object { writer in
                writer.key("messages")
                writer.array { writer in for message in content.messages { writer.raw(message.json) } }
                writer.key("model")
                if let model = content.settings.model { model.write(to: &writer) } else { writer.null() }
                writer.member("thinkingLevel", content.settings.thinkingLevel)
                writer.member("tokens", tokens)
            }
        }
    }

    func label(_ request: Request, _ context: EdgeContext) async throws -> Response {
        var request = request
        let id = try Self.sessionID(context)
        let entry = EntryID(unchecked: context.parameters.get("entryId") ?? "")
        var fields = try RequestFields(try await request.boundedBody(upTo: configuration.maxBodyBytes))
        if !fields.contains("label") { fields.refuse("label", "is required (null takes the label away)") }
        let label = fields.string("label")
        try fields.finish()
        let added = try await runtime.label(entry, of: id, as: label.flatMap { $0.isEmpty ? nil : $0 })
        return .json { $0.raw(added.line) }
    }

    func branch(_ request: Request, _ context: EdgeContext, _ body: ByteBuffer) async throws
        -> IdempotentRequests.Answer
    {
        let id = try Self.sessionID(context)
        var fields = try RequestFields(body)
        if !fields.contains("entryId") {
            fields.refuse("entryId", "is required (null is the place before the first entry)")
        }
        let entry = fields.string("entryId").map { EntryID(unchecked: $0) }
        let summarize = fields.bool("summarize") ?? false
        let instructions = fields.string("instructions", maxBytes: Self.maxInstructionBytes)
        try fields.finish()
        let view = try await runtime.branch(id, to: entry, summarize: summarize, instructions: instructions)
        return Self.answer(view, .ok)
    }

    func fork(_ request: Request, _ context: EdgeContext, _ body: ByteBuffer) async throws -> IdempotentRequests.Answer
    {
        let id = try Self.sessionID(context)
        var fields = try RequestFields(body)
        let entry = fields.string("entryId").map { EntryID(unchecked: $0) }
        let name = fields.string("name")
        try fields.finish()
        let owner = try context.requirePrincipal().owner
        return Self.answer(
            try await runtime.fork(id, at: entry, name: name, owner: owner, attempt: context.attempt), .created)
    }

    /// Answers the compaction's entry.
    func compact(
        _ request: Request, _ context: EdgeContext, _ body: ByteBuffer
    ) async throws -> IdempotentRequests.Answer {
        let id = try Self.sessionID(context)
        var fields = try RequestFields(body)
        let instructions = fields.string("instructions", maxBytes: Self.maxInstructionBytes)
        try fields.finish()
        let entry = try await runtime.compact(id, instructions: instructions)
        return .json(.ok) { $0.raw(entry.line) }
    }

    private static let maxInstructionBytes = 16 << 10

    func archive(
        _ request: Request, _ context: EdgeContext, _ body: ByteBuffer
    ) async throws -> IdempotentRequests.Answer {
        Self.answer(try await runtime.archiveSession(try Self.sessionID(context)), .ok)
    }

    func restore(
        _ request: Request, _ context: EdgeContext, _ body: ByteBuffer
    ) async throws -> IdempotentRequests.Answer {
        Self.answer(try await runtime.restoreSession(try Self.sessionID(context)), .ok)
    }

    func export(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let id = try Self.sessionID(context)
        let export = try await runtime.exportSession(id)
        return Response(
            status: .ok,
            headers: [
                .contentType: "application/x-ndjson",
                .contentDisposition: "attachment; filename=\"\(id).jsonl\"",
            ],
            body: ResponseBody(contentLength: export.byteCount) { writer in
                var offset = 0
                while let piece = try await export.piece(at: offset) {
                    try await writer.write(ByteBuffer(bytes: piece))
                    offset += piece.count
                }
                try await writer.finish(nil)
            })
    }
}
