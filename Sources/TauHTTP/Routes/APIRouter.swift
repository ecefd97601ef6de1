internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import TauCore
internal import TauRuntime

/// The table of all routes: the API at a glance.
struct APIRouter {
    let runtime: AgentRuntime
    let authenticator: any Authenticator
    let health: HealthChecks
    let idempotency: IdempotencyStore
    let configuration: EdgeConfiguration

    static let root = "/api/agent/v1"
    /// Everything else needs a key, also what does not exist: a route cannot be forgotten.
    static let publicPaths: Set<String> = ["/health", "/health/live", "/health/ready"]

    func router() -> Router<EdgeContext> {
        let router = Router(context: EdgeContext.self)
        router.add(
            middleware: RequestIdentityMiddleware(identifiers: configuration.identifiers, now: configuration.now))
        router.add(
            middleware: AuthenticationMiddleware(
                authenticator: authenticator, publicPaths: Self.publicPaths, limits: configuration.rateLimits,
                addresses: ClientAddress(trustedProxies: configuration.trustedProxies)))
        if let limits = configuration.rateLimits { router.add(middleware: RateLimitMiddleware(limits: limits)) }
        router.get("health", use: health.overview)
        router.get("health/live", use: health.live)
        router.get("health/ready", use: health.ready)

        let v1 = router.group(RouterPath(Self.root))
        let sessions = SessionRoutes(runtime: runtime, configuration: configuration)
        post(v1, "sessions", sessions.create)
        v1.get("sessions", use: sessions.list)
        v1.get("sessions/:id", use: sessions.get)
        v1.patch("sessions/:id", use: sessions.update)
        v1.delete("sessions/:id", use: sessions.delete)
        v1.get("sessions/:id/entries", use: sessions.entries)
        v1.get("sessions/:id/tree", use: sessions.tree)
        v1.get("sessions/:id/context", use: sessions.context)
        v1.put("sessions/:id/labels/:entry", use: sessions.label)
        v1.get("sessions/:id/export", use: sessions.export)
        post(v1, "sessions/:id/branch", sessions.branch)
        post(v1, "sessions/:id/fork", sessions.fork)
        post(v1, "sessions/:id/compact", sessions.compact)
        post(v1, "sessions/:id/archive", sessions.archive)
        post(v1, "sessions/:id/restore", sessions.restore)
        post(v1, "sessions/import", maxBytes: configuration.maxImportBytes, sessions.importFile)

        let runs = RunRoutes(runtime: runtime, configuration: configuration)
        post(v1, "sessions/:id/runs", runs.start)
        v1.get("sessions/:id/runs", use: runs.list)
        v1.get("runs/:run", use: runs.get)
        v1.get("runs/:run/events", use: runs.events)
        post(v1, "runs/:run/cancel", runs.cancel)
        post(v1, "runs/:run/steer", runs.steer)
        post(v1, "runs/:run/follow-up", runs.followUp)
        post(v1, "runs/:run/approvals/:call", runs.approve)

        let catalog = CatalogRoutes(runtime: runtime)
        v1.get("models", use: catalog.models)
        v1.get("tools", use: catalog.tools)
        return router
    }

    /// A POST whose handler may run once per idempotency key.
    typealias PostHandler = @Sendable (Request, EdgeContext, ByteBuffer) async throws -> IdempotencyStore.Answer

    private func post(
        _ group: RouterGroup<EdgeContext>, _ path: RouterPath, maxBytes: Int? = nil, _ handler: @escaping PostHandler
    ) {
        group.post(path) { request, context in
            var request = request
            let body = try await request.boundedBody(upTo: maxBytes ?? configuration.maxBodyBytes)
            let answer = try await once(request, context, body) { try await handler(request, context, body) }
            return try response(to: request, answer)
        }
    }

    private func once(
        _ request: Request, _ context: EdgeContext, _ body: ByteBuffer,
        _ work: () async throws -> IdempotencyStore.Answer
    ) async throws -> IdempotencyStore.Answer {
        guard let text = request.headers[.idempotencyKey] else { return try await work() }
        guard (1...255).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Problem(.badRequest, "Idempotency-Key must be 1 to 255 visible ASCII characters.")
        }
        var hasher = Hasher()
        hasher.combine(request.uri.path)
        hasher.combine(request.headers[.accept])
        body.withUnsafeReadableBytes { hasher.combine(bytes: $0) }
        let key = IdempotencyStore.Key(principal: try context.requirePrincipal(), text: text)
        return try await idempotency.answer(key, fingerprint: hasher.finalize(), work)
    }

    private func response(to request: Request, _ answer: IdempotencyStore.Answer) throws -> Response {
        switch answer {
        case .response(let status, let headers, let bytes):
            var response = Response.bytes(bytes, type: "application/json", status: status)
            for field in headers { response.headers.append(field) }
            return response
        case .events(let id):
            return RunEventStream(run: try runtime.run(id), lastNumber: 0, heartbeat: configuration.heartbeat)
                .response(to: request)
        }
    }
}

extension IdempotencyStore.Answer {
    static func json(
        _ status: HTTPResponse.Status, location: String? = nil, _ body: (inout JSONWriter) -> Void
    ) -> Self {
        var writer = JSONWriter()
        body(&writer)
        return .response(status, location.map { [.location: $0] } ?? [:], writer.bytes)
    }
}
