internal import Crypto
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import TauCore
internal import TauRuntime

/// Puts the table of routes behind what every request goes through: its name, its key, its limit, and then whether the caller may ask
/// for just this.
struct APIRouter {
    let runtime: AgentRuntime
    let authenticator: any Authenticator
    let table: RouteTable
    let streams: StreamPlaces
    let idempotency: IdempotentRequests
    let configuration: EdgeConfiguration

    func router() -> Router<EdgeContext> {
        let router = Router(context: EdgeContext.self)
        router.add(
            middleware: RequestIdentityMiddleware(identifiers: configuration.identifiers, now: configuration.now))
        // Everything else needs a key, also what does not exist: a route cannot be forgotten.
        let publicPaths = table.routes.compactMap { route in
            if case .everybody = route.access { route.path } else { nil }
        }
        router.add(
            middleware: AuthenticationMiddleware(
                authenticator: authenticator, publicPaths: Set(publicPaths), limits: configuration.rateLimits,
                addresses: ClientAddress(trustedProxies: configuration.trustedProxies)))
        if let limits = configuration.rateLimits { router.add(middleware: RateLimitMiddleware(limits: limits)) }
        for route in table.routes {
            router.on(RouterPath(route.path), method: route.method) { request, context in
                var context = context
                context.streams = streams
                try await authorize(context, for: route)
                return try await answer(request, context, route.handler)
            }
        }
        return router
    }

    /// The one place in which it is decided whether a caller may ask for something.
    private func authorize(_ context: EdgeContext, for route: Route) async throws {
        guard case .scope(let scope) = route.access else { return }
        let principal = try context.requirePrincipal()
        guard principal.scopes.isSuperset(of: scope) else {
            throw Problem(.forbidden, "This key lacks the scope \(scope.names.joined(separator: ", ")).")
        }
        switch route.subject {
        case .none: break
        case .session: try await runtime.requireSession(try SessionRoutes.sessionID(context), of: principal.owner)
        case .run: try await runtime.requireRun(try RunRoutes.runID(context), of: principal.owner)
        }
    }

    private func answer(_ request: Request, _ context: EdgeContext, _ handler: Route.Handler) async throws -> Response {
        switch handler {
        case .plain(let handler): return try await handler(request, context)
        case .once(let maxBytes, let isSecret, let handler):
            var request = request
            let body = try await request.boundedBody(upTo: maxBytes ?? configuration.maxBodyBytes)
            let answer = try await once(request, context, body, isSecret: isSecret, handler)
            return try await response(context, answer)
        }
    }

    private func once(
        _ request: Request, _ context: EdgeContext, _ body: ByteBuffer, isSecret: Bool, _ handler: Route.OnceHandler
    ) async throws -> IdempotentRequests.Answer {
        guard let text = request.headers[.idempotencyKey] else { return try await handler(request, context, body) }
        guard (1...255).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Problem(.badRequest, "Idempotency-Key must be 1 to 255 visible ASCII characters.")
        }
        let key = IdempotencyKey(owner: try context.requirePrincipal().owner, text: text)
        return try await idempotency.answer(
            key, fingerprint: Self.fingerprint(of: request, body), isSecret: isSecret, context.logger
        ) { attempt in
            var context = context
            context.attempt = attempt
            return try await handler(request, context, body)
        }
    }

    /// SHA-256 of all that makes one request another: its path, the form of answer that it asks for, and its body.
    private static func fingerprint(of request: Request, _ body: ByteBuffer) -> [UInt8] {
        var hash = SHA256()
        for part in [request.uri.path, request.headers[.accept] ?? ""] {
            hash.update(data: Array(part.utf8) + [0])
        }
        body.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        return Array(hash.finalize())
    }

    private func response(
        _ context: EdgeContext, _ answer: IdempotentRequests.Answer
    ) async throws -> Response {
        switch answer {
        case .response(let status, let location, let bytes):
            var response = Response.bytes(bytes, type: "application/json", status: status)
            response.headers[.location] = location
            return response
        case .events(let id):
            return try await RunEventStream.response(
                to: context, run: id, of: runtime, heartbeat: configuration.heartbeat)
        }
    }
}
