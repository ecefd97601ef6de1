internal import HTTPTypes
internal import Hummingbird
package import TauCore

/// What may be asked how often.
package struct RateLimits: Sendable {
    package var limiter: any RateLimiter
    /// Of each principal; nil for no limit.
    package var requests: RatePolicy?
    /// New runs and messages to runs at work, of each principal, beside the other requests.
    package var runs: RatePolicy?
    /// Requests without a valid key, of each address.
    package var failures: RatePolicy?

    package init(limiter: any RateLimiter) { self.limiter = limiter }
}

/// Lets each principal ask only so often, and tells it in every answer how much is left (draft-ietf-httpapi-ratelimit-headers).
struct RateLimitMiddleware: RouterMiddleware {
    let limits: RateLimits

    func handle(
        _ request: Request, context: EdgeContext, next: (Request, EdgeContext) async throws -> Response
    ) async throws -> Response {
        guard let principal = context.principal, let policy = policy(of: request) else {
            return try await next(request, context)
        }
        let decision = await limits.limiter.admit(principal.owner.subject, under: policy)
        var response: Response
        if decision.isAdmitted {
            do {
                response = try await next(request, context)
            } catch {
                // An error also says how much is left.
                response = Problem.answer(to: error, context)
            }
        } else {
            Measurements.limiterRefusals.add(1, policy.name)
            response = Problem.tooMany("requests", decision).response
        }
        response.headers[.rateLimitPolicy] = "\"\(policy.name)\";q=\(policy.requests);w=\(policy.windowSeconds)"
        response.headers[.rateLimit] =
            "\"\(policy.name)\";r=\(decision.remaining);t=\(Self.seconds(decision.resetNanoseconds))"
        return response
    }

    private func policy(of request: Request) -> RatePolicy? {
        let path = request.uri.path
        let startsWork =
            request.method == .post
            && ["/runs", "/steer", "/follow-up"].contains { path.hasSuffix($0) }
        return startsWork ? limits.runs : limits.requests
    }

    /// Whole seconds, rounded up.
    static func seconds(_ nanoseconds: Int64) -> Int64 { (nanoseconds + 999_999_999) / 1_000_000_000 }
}

extension HTTPField.Name {
    static let rateLimitPolicy = HTTPField.Name("RateLimit-Policy") ?? .date
    static let rateLimit = HTTPField.Name("RateLimit") ?? .date
    static let forwardedFor = HTTPField.Name("X-Forwarded-For") ?? .date
}

extension Problem {
    static func tooMany(_ what: String, _ decision: RateDecision) -> Problem {
        let seconds = max(1, RateLimitMiddleware.seconds(decision.retryNanoseconds))
        return Problem(
            .rateLimited, "Too many \(what). Try again in \(seconds) \(seconds == 1 ? "second" : "seconds").",
            retryAfter: Int(seconds))
    }
}
