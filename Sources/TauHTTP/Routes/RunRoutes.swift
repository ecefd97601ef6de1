internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import TauCore
internal import TauRuntime

/// `/runs`: messages to the agent, and what comes of them.
struct RunRoutes: Sendable {
    let runtime: AgentRuntime
    let configuration: EdgeConfiguration

    private func run(_ context: EdgeContext) throws -> ActiveRun {
        guard let id = context.parameters.get("run").flatMap({ RunID($0) }) else {
            throw Problem(.notFound, "There is no such run.")
        }
        return try runtime.run(id)
    }

    func start(_ request: Request, _ context: EdgeContext, _ body: ByteBuffer) async throws -> IdempotencyStore.Answer {
        let id = try SessionRoutes.sessionID(context)
        let run = try await runtime.startRun(try Self.runRequest(body), in: id)
        return wantsEvents(request) ? .events(run.id) : Self.accepted(run)
    }

    private static func runRequest(_ body: ByteBuffer) throws -> RunRequest {
        var fields = try RequestFields(body)
        let content = fields.content("message")
        let parent = fields.string("parentId")
        let level = fields.thinkingLevel("thinkingLevel")
        let maxTurns = fields.integer("maxTurns", in: 1...10_000)
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
            maxTurns: maxTurns, ifBusy: ifBusy ?? .reject)
    }

    private func wantsEvents(_ request: Request) -> Bool {
        request.headers[values: .accept].contains { $0.lowercased().contains("text/event-stream") }
    }

    private static func accepted(_ run: ActiveRun) -> IdempotencyStore.Answer {
        .json(.accepted, location: "\(APIRouter.root)/runs/\(run.id)") { run.snapshot.write(to: &$0) }
    }

    func list(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let runs = try await runtime.runs(of: try SessionRoutes.sessionID(context))
        return try .page(of: runs, request) { writer, run in run.write(to: &writer) }
    }

    func get(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let run = try run(context).snapshot
        return .json { run.write(to: &$0) }
    }

    func events(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let run = try run(context)
        let last = request.headers[.lastEventID]
        guard let number = Int(last ?? "0"), number >= 0 else {
            throw Problem(.badRequest, "Last-Event-ID must be the id of an event of this run.")
        }
        return RunEventStream(run: run, lastNumber: number, heartbeat: configuration.heartbeat).response(to: request)
    }

    func cancel(_ request: Request, _ context: EdgeContext, _ body: ByteBuffer) async throws -> IdempotencyStore.Answer
    {
        let run = try run(context)
        let state = try runtime.cancel(run.id)
        return .json(.accepted) { state.write(to: &$0) }
    }

    func steer(_ request: Request, _ context: EdgeContext, _ body: ByteBuffer) async throws -> IdempotencyStore.Answer {
        try queue(context, body, steers: true)
    }

    func followUp(_ request: Request, _ context: EdgeContext, _ body: ByteBuffer) async throws
        -> IdempotencyStore.Answer
    {
        try queue(context, body, steers: false)
    }

    private func queue(_ context: EdgeContext, _ body: ByteBuffer, steers: Bool) throws -> IdempotencyStore.Answer {
        let run = try run(context)
        var fields = try RequestFields(body)
        let content = fields.content("message")
        try fields.finish()
        let state = try runtime.queue(content, in: run.id, steers: steers)
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
