internal import HTTPTypes
internal import Hummingbird
internal import Instrumentation
internal import Logging
internal import ServiceContextModule
internal import TauCore
internal import TauRuntime
internal import Tracing

extension HTTPField.Name {
    static let requestID = HTTPField.Name("X-Request-Id") ?? .date
    static let idempotencyKey = HTTPField.Name("Idempotency-Key") ?? .date
    static let lastEventID = HTTPField.Name("Last-Event-ID") ?? .date
    static let referrerPolicy = HTTPField.Name("Referrer-Policy") ?? .date
    static let accelBuffering = HTTPField.Name("X-Accel-Buffering") ?? .date
}

/// Names every request, turns every error into problem details, and logs, counts and traces every answer.
struct RequestIdentityMiddleware: RouterMiddleware {
    let identifiers: IdentifierSource
    let now: @Sendable () -> Timestamp

    func handle(
        _ request: Request, context: EdgeContext, next: (Request, EdgeContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.requestID = sane(request.headers[.requestID]) ?? identifiers.uuid(at: now())
        var origin = ServiceContext.current ?? .topLevel
        origin.requestID = context.requestID
        InstrumentationSystem.instrument.extract(request.headers, into: &origin, using: HeaderExtractor())
        return try await withSpan("HTTP", context: origin, ofKind: .server) { span in
            let response = try await answer(request, context, next)
            if span.isRecording { describe(span, request, context, response) }
            return response
        }
    }

    private func describe(_ span: any Span, _ request: Request, _ context: EdgeContext, _ response: Response) {
        let route = context.endpointPath ?? Measurements.other
        span.operationName = "\(method(of: request)) \(route)"
        span.add([
            .name("http.request.method", method(of: request)), .name("http.route", route),
            .integer("http.response.status_code", Int(response.status.code)),
            // A caller's own id may be anything.
            .text("tau.request.id", context.requestID),
        ])
        if response.status.code >= 500 { span.setStatus(SpanStatus(code: .error)) }
    }

    private func answer(
        _ request: Request, _ context: EdgeContext, _ next: (Request, EdgeContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        let start = ContinuousClock.now
        context.logger[metadataKey: "request_id"] = "\(context.requestID)"
        var response: Response
        do {
            response = try await next(request, context)
        } catch {
            response = Problem.answer(to: error, context)
        }
        response.headers[.requestID] = context.requestID
        for (name, value) in Self.security where response.headers[name] == nil { response.headers[name] = value }
        let seconds = (ContinuousClock.now - start).seconds
        measure(request, context, response, seconds)
        context.logger.debug(
            "request answered",
            metadata: [
                "method": "\(request.method)", "path": "\(request.uri.path.prefix(200))",
                "status": "\(response.status.code)", "duration_ms": "\(Int(seconds * 1000))",
            ])
        return response
    }

    /// Methods and paths that there are not are not told apart.
    private func measure(_ request: Request, _ context: EdgeContext, _ response: Response, _ seconds: Double) {
        let route = context.endpointPath ?? Measurements.other
        let method = method(of: request)
        Measurements.requests.add(1, method, route, "\(response.status.code)")
        Measurements.requestDuration.observe(seconds, method, route)
    }

    private func method(of request: Request) -> String {
        let known: [HTTPRequest.Method] = [.get, .post, .put, .patch, .delete, .head, .options]
        return known.contains(request.method) ? request.method.rawValue : Measurements.other
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

private struct HeaderExtractor: Extractor {
    func extract(key: String, from headers: HTTPFields) -> String? {
        HTTPField.Name(key).flatMap { headers[$0] }
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
