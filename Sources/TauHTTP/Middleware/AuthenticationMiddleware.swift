internal import HTTPTypes
internal import Hummingbird
internal import TauCore
internal import TauRuntime

/// Lets only requests with a valid bearer token through; whatever is wrong with a token, the answer is the same.
struct AuthenticationMiddleware: RouterMiddleware {
    let authenticator: any Authenticator
    /// Paths that need no token, compared with the request's path as it came.
    let publicPaths: Set<String>
    let limits: RateLimits?
    let addresses: ClientAddress

    func handle(
        _ request: Request, context: EdgeContext, next: (Request, EdgeContext) async throws -> Response
    ) async throws -> Response {
        guard !publicPaths.contains(request.uri.path) else { return try await next(request, context) }
        guard let token = bearer(request.headers[.authorization]), let principal = try await principal(of: token) else {
            try await countFailure(request, context)
            throw Problem(.unauthenticated, "Send an API key as \"Authorization: Bearer <key>\".")
        }
        var context = context
        context.principal = principal
        context.isStillAllowed = { [authenticator] in
            do throws(StoreError) {
                return try await authenticator.principal(forBearer: token) == principal
            } catch {
                // Not to be told now; who was let in stays.
                return true
            }
        }
        return try await next(request, context)
    }

    private func principal(of token: String) async throws(Problem) -> Principal? {
        do throws(StoreError) {
            return try await authenticator.principal(forBearer: token)
        } catch {
            throw Problem(RuntimeError(error))
        }
    }

    /// Keys are tried only so often from one address. Whoever has a valid one is not kept from anything by others there.
    private func countFailure(_ request: Request, _ context: EdgeContext) async throws(Problem) {
        guard let limits, let policy = limits.failures else { return }
        let address = addresses.of(peer: context.peer, forwardedFor: request.headers[values: .forwardedFor])
        let decision = await limits.limiter.admit(address?.subscriber ?? "unknown", under: policy)
        guard !decision.isAdmitted else { return }
        Measurements.limiterRefusals.add(1, policy.name)
        throw Problem.tooMany("requests without a valid key", decision)
    }

    private func bearer(_ header: String?) -> String? {
        guard let header else { return nil }
        let parts = header.utf8.split(separator: UInt8(ascii: " "), maxSplits: 1)
        guard parts.count == 2, String(parts[0])?.lowercased() == "bearer" else { return nil }
        return String(parts[1])
    }
}
