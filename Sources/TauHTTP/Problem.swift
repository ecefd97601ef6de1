internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import TauCore
internal import TauRuntime

/// An error as the API tells it: problem details (RFC 9457) with one of the stable codes.
struct Problem: Error, Sendable {
    /// The stable codes; each has one status and one title.
    enum Code: String, Sendable {
        case badRequest = "bad_request"
        case unauthenticated
        case forbidden
        case notFound = "not_found"
        case conflict
        case runInProgress = "run_in_progress"
        case idempotencyMismatch = "idempotency_mismatch"
        case payloadTooLarge = "payload_too_large"
        case invalidContent = "invalid_content"
        case rateLimited = "rate_limited"
        case budgetExceeded = "budget_exceeded"
        case draining
        case storageUnavailable = "storage_unavailable"
        case modelUnavailable = "model_unavailable"
        case toolsUnavailable = "tools_unavailable"
        /// Something that Tau did not expect; the log has the details under the request's id.
        case internalError = "internal_error"

        var status: HTTPResponse.Status {
            switch self {
            case .badRequest: .badRequest
            case .unauthenticated: .unauthorized
            case .forbidden: .forbidden
            case .notFound: .notFound
            case .conflict, .runInProgress, .idempotencyMismatch: .conflict
            case .payloadTooLarge: .contentTooLarge
            case .invalidContent: .unprocessableContent
            case .rateLimited: .tooManyRequests
            case .budgetExceeded: .init(code: 402, reasonPhrase: "Payment Required")
            case .draining, .storageUnavailable, .toolsUnavailable: .serviceUnavailable
            case .modelUnavailable: .badGateway
            case .internalError: .internalServerError
            }
        }

        var title: String {
            switch self {
            case .badRequest: "The request is not valid"
            case .unauthenticated: "A valid API key is needed"
            case .forbidden: "Not allowed"
            case .notFound: "There is no such thing"
            case .conflict: "The request conflicts with the current state"
            case .runInProgress: "The session has a run at work"
            case .idempotencyMismatch: "The idempotency key was used for another request"
            case .payloadTooLarge: "The body is too large"
            case .invalidContent: "The content cannot be read"
            case .rateLimited: "Too many requests"
            case .budgetExceeded: "The budget is used up"
            case .draining: "The server is shutting down"
            case .storageUnavailable: "The storage is not available"
            case .modelUnavailable: "The model is not available"
            case .toolsUnavailable: "Commands cannot be run safely"
            case .internalError: "Something went wrong in the server"
            }
        }
    }

    var code: Code
    var detail: String
    var errors: [RuntimeError.Detail] = []
    /// Seconds after which the same request may succeed.
    var retryAfter: Int?

    init(_ code: Code, _ detail: String, errors: [RuntimeError.Detail] = [], retryAfter: Int? = nil) {
        self.code = code
        self.detail = detail
        self.errors = errors
        self.retryAfter = retryAfter
    }

    init(_ error: RuntimeError) {
        switch error.code {
        case .notFound: self.init(.notFound, error.message)
        case .conflict: self.init(.conflict, error.message)
        case .runInProgress: self.init(.runInProgress, error.message)
        case .badRequest: self.init(.badRequest, error.message)
        case .invalidContent: self.init(.invalidContent, error.message)
        case .draining: self.init(.draining, error.message, retryAfter: 5)
        case .storageUnavailable: self.init(.storageUnavailable, error.message, retryAfter: 5)
        case .modelUnavailable: self.init(.modelUnavailable, error.message)
        case .budgetExceeded: self.init(.budgetExceeded, error.message)
        case .overloaded: self.init(.rateLimited, error.message, retryAfter: 1)
        }
        errors = error.details
    }

    /// Any error that a handler or the router threw.
    init(_ error: any Error) {
        switch error {
        case let problem as Problem: self = problem
        case let error as RuntimeError: self.init(error)
        case let error as any HTTPResponseError:
            switch error.status.code {
            case 404, 405: self.init(.notFound, "There is nothing at this path for this method.")
            case 413: self.init(.payloadTooLarge, "The body is larger than the server accepts (http.maxBodyBytes).")
            case 400..<500: self.init(.badRequest, "The request could not be read.")
            default: self.init(.internalError, "The request could not be answered.")
            }
        default: self.init(.internalError, "The request could not be answered.")
        }
    }

    var response: Response {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("type", "urn:tau:\(code.rawValue)")
            writer.member("title", code.title)
            writer.member("status", code.status.code)
            writer.member("detail", detail)
            writer.member("code", code.rawValue)
            guard !errors.isEmpty else { return }
            writer.key("errors")
            writer.array { writer in
                for error in errors {
                    writer.object { writer in
                        writer.member("path", error.path)
                        writer.member("message", error.message)
                    }
                }
            }
        }
        var response = Response.bytes(writer.bytes, type: "application/problem+json", status: code.status)
        if let retryAfter { response.headers[.retryAfter] = String(retryAfter) }
        if code == .unauthenticated { response.headers[.wwwAuthenticate] = "Bearer" }
        return response
    }
}

extension Response {
    /// An answer of known bytes.
    static func bytes(_ bytes: [UInt8], type: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: type, .contentLength: String(bytes.count)],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    static func json(_ status: HTTPResponse.Status = .ok, _ body: (inout JSONWriter) -> Void) -> Response {
        var writer = JSONWriter()
        body(&writer)
        return .bytes(writer.bytes, type: "application/json", status: status)
    }
}
