internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import TauCore
internal import TauRuntime

extension HTTPField.Name {
    static let requestID = HTTPField.Name("X-Request-Id") ?? .date
    static let idempotencyKey = HTTPField.Name("Idempotency-Key") ?? .date
    static let lastEventID = HTTPField.Name("Last-Event-ID") ?? .date
    static let referrerPolicy = HTTPField.Name("Referrer-Policy") ?? .date
    static let accelBuffering = HTTPField.Name("X-Accel-Buffering") ?? .date
}

/// Names every request, turns every error into problem details, and logs every answer.
struct RequestIdentityMiddleware: RouterMiddleware {
    let identifiers: IdentifierSource
    let now: @Sendable () -> Timestamp

    func handle(
        _ request: Request, context: EdgeContext, next: (Request, EdgeContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        let start = now()
        context.requestID = sane(request.headers[.requestID]) ?? identifiers.uuid(at: start)
        context.logger[metadataKey: "request"] = "\(context.requestID)"
        var response: Response
        do {
            response = try await next(request, context)
        } catch {
            response = Problem.answer(to: error, context)
        }
        response.headers[.requestID] = context.requestID
        for (name, value) in Self.security where response.headers[name] == nil { response.headers[name] = value }
        context.logger.debug(
            "request answered",
            metadata: [
                "method": "\(request.method)", "path": "\(request.uri.path.prefix(200))",
                "status": "\(response.status.code)", "milliseconds": "\(now().milliseconds - start.milliseconds)",
            ])
        return response
    }

    /// Answers are data: no browser is to run, guess, frame or keep them.
    private static let security: [(HTTPField.Name, String)] = [
        (.xContentTypeOptions, "nosniff"),
        (.contentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'; sandbox"),
        (.referrerPolicy, "no-referrer"), (.crossOriginResourcePolicy, "same-origin"), (.cacheControl, "no-store"),
    ]

    /// Up to 128 letters, digits, '.', '_' and '-': nothing that could break a header or a log line.
    private func sane(_ text: String?) -> String? {
        guard let text, (1...128).contains(text.utf8.count) else { return nil }
        let isSane = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        return isSane ? text : nil
    }
}

extension Problem {
    /// The answer that tells of an error; what nobody expected, or callers may not know, is logged with the request's id.
    static func answer(to error: any Error, _ context: EdgeContext) -> Response {
        let problem = Problem(error)
        if problem.code == .internalError { context.logger.error("request failed", metadata: ["reason": "\(error)"]) }
        if let reason = (error as? RuntimeError)?.confidential {
            context.logger.warning("request failed: \(problem.detail)", metadata: ["reason": "\(reason)"])
        }
        return problem.response
    }
}
