internal import Hummingbird
internal import Logging
internal import NIOCore
internal import TauCore

/// What belongs to one request on its way through the middleware.
struct EdgeContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// Who asks; set by the authentication, and so by every route below `/api/agent`.
    var principal: Principal?
    /// Whether the key is still valid; for answers that take long.
    var isStillAllowed: @Sendable () async -> Bool = { true }
    /// The places for event streams; set for every route.
    var streams = StreamPlaces(maxPerOwner: 0)
    /// Of a request with an idempotency key.
    var attempt: RequestAttempt?
    /// The caller's id of the request, or one of ours.
    var requestID = ""
    /// The connection.
    let channel: any Channel
    /// The address that it comes from.
    let peer: String?

    init(source: ApplicationRequestContextSource) {
        channel = source.channel
        peer = source.channel.remoteAddress?.ipAddress
        coreContext = CoreRequestContextStorage(source: source)
    }

    /// The principal of a route that is only reached by an authenticated request.
    func requirePrincipal() throws(Problem) -> Principal {
        guard let principal else { throw Problem(.unauthenticated, "The request has no valid API key.") }
        return principal
    }
}
