internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import TauCore
internal import TauRuntime

/// `/runs`: messages to the agent, and what comes of them.
struct RunRoutes: Sendable {
    let runtime: AgentRuntime
    let configuration: EdgeConfiguration

    static func runID(_ context: EdgeContext) throws(Problem) -> RunID {
        guard let id = context.parameters.get("runId").flatMap({ RunID($0) }) else {
            throw Problem(.notFound, "There is no such run.")
        }
        return id
    }

    func start(_ request: Request, _ context: EdgeContext, _ body: ByteBuffer) async throws -> IdempotentRequests.Answer
    {
        let id = try SessionRoutes.sessionID(context)
        var message = try Self.runRequest(body, principal: try context.requirePrincipal())
        message.attempt = context.attempt
        let run: Run
        if let started = try await runtime.startedRun(by: context.attempt, with: message.content, in: id) {
            run = started
        } else {
            run = try await runtime.startRun(message, in: id).snapshot
        }
        if wantsEvents(request) { return .events(run.id) }
        return .json(.accepted, location: "\(RouteTable.root)/runs/\(run.id)") { run.write(to: &$0) }
    }

    private static func runRequest(_ body: ByteBuffer, principal: Principal) throws -> RunRequest {
        var fields = try RequestFields(body)
        let content = fields.content("message")
        let parent = fields.string("parentId")
        let level = fields.thinkingLevel("thinkingLevel")
        let maxTurns = fields.integer("maxTurns", in: 1...10_000)
        let maxCost = fields.number("maxCost", in: 0...1e9)
        let ifBusy = fields.choice("ifBusy", of: RunRequest.IfBusy.self, ["reject", "steer", "followUp"])
        let model: ModelChoice
        switch fields.string("model") {
        case nil: model = .session
        case "auto": model = .automatic
        case let text?:
            if let reference = ModelReference(text) {
                model = .named(reference)
            } else {
                fields.refuse("model", "must be \"auto\" or have the form provider/id")
                model = .session
            }
        }
        try fields.finish()
        return RunRequest(
            content: content, parentID: parent.map { EntryID(unchecked: $0) }, model: model, thinkingLevel: level,
            maxTurns: maxTurns, maxCost: maxCost, ifBusy: ifBusy ?? .reject, keyID: principal.keyID,
            role: principal.role)
    }

    private func wantsEvents(_ request: Request) -> Bool {
        request.headers[values: .accept].contains {
            $0 == "text/event-stream" || $0.lowercased().contains("text/event-stream")
        }
    }

    func list(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let runs = try await runtime.runs(of: try SessionRoutes.sessionID(context))
        return try .page(of: runs, request) { writer, run in run.write(to: &writer) }
    }

    func get(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let run = try await runtime.snapshot(of: try Self.runID(context))
        return .json { run.write(to: &$0) }
    }

    func events(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let id = try Self.runID(context)
        guard let number = Int(request.headers[.lastEventID] ?? "0"), number >= 0, number < Int.max else {
            throw Problem(.badRequest, "Last-Event-ID must be the id of an event of this run.")
        }
        return try await RunEventStream.response(
            to: context, run: id, of: runtime, after: number, heartbeat: configuration.heartbeat, isLate: true)
    }

    func cancel(_ request: Request, _ context: EdgeContext, _ body: ByteBuffer) async throws
        -> IdempotentRequests.Answer
    {
        let state = try await runtime.cancel(try Self.runID(context))
        return .json(.accepted) { state.write(to: &$0) }
    }

    func steer(_ request: Request, _ context: EdgeContext, _ body: ByteBuffer) async throws -> IdempotentRequests.Answer
    {
        try await queue(context, body, steers: true)
    }

    func followUp(_ request: Request, _ context: EdgeContext, _ body: ByteBuffer) async throws
        -> IdempotentRequests.Answer
    {
        try await queue(context, body, steers: false)
    }

    /// Decides on one tool call that waits.
    func approve(
        _ request: Request, _ context: EdgeContext, _ body: ByteBuffer
    ) async throws -> IdempotentRequests.Answer {
        let id = try Self.runID(context)
        guard let call = context.parameters.get("toolCallId") else {
            throw Problem(.notFound, "There is no such call.")
        }
        var fields = try RequestFields(body)
        let decision = fields.choice("decision", of: Decision.self, ["approve", "deny"])
        if !fields.contains("decision") { fields.refuse("decision", "is required") }
        let reason = fields.string("reason")
        try fields.finish()
        try await configuration.auditing.write(
            "approval.decide", call, context, outcome: decision?.rawValue ?? "", [("run", id.rawValue)])
        let state = try await runtime.decide(
            call, of: id, ApprovalDecision(isApproved: decision == .approve, reason: reason))
        return .json(.accepted) { state.write(to: &$0) }
    }

    private enum Decision: String { case approve, deny }

    private func queue(
        _ context: EdgeContext, _ body: ByteBuffer, steers: Bool
    ) async throws -> IdempotentRequests.Answer {
        let id = try Self.runID(context)
        var fields = try RequestFields(body)
        let content = fields.content("message")
        try fields.finish()
        let state = try await runtime.queue(content, in: id, steers: steers)
        return .json(.accepted) { state.write(to: &$0) }
    }
}

extension Response {
    /// A page of a list that is small and already in memory; the cursor is a place in it.
    static func page<Element>(
        of all: [Element], _ request: Request, _ write: (inout JSONWriter, Element) -> Void
    ) throws -> Response {
        let limit = try request.pageLimit()
        let start =
            try request.query("cursor", "a cursor of this list") { text in Int(text).flatMap { $0 >= 0 ? $0 : nil } }
            ?? 0
        let rest = all.dropFirst(start)
        let next = rest.count > limit ? String(start + limit) : nil
        return .json { writer in writer.page(rest.prefix(limit), next: next, write) }
    }
}
