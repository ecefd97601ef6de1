internal import TauCore

/// Makes a `ProviderError` out of what a server says went wrong, in any of the shapes that servers use.
struct ErrorAnswer {
    private static let maxMessageLength = 1000

    /// HTTP's, or the number in the error object.
    private var status: Int?
    private var message: String?
    /// The error's type and code, in lower case.
    private var kind = ""

    /// An answer with a status other than 200.
    static func error(status: Int, reason: String, retryAfter: Double?, body: [UInt8]) -> ProviderError {
        var answer = ErrorAnswer(try? JSONValue(parsing: body))
        answer.status = status
        // Cerebras says nothing at all when the prompt is too long.
        let isSilentOverflow = body.isEmpty && (status == 400 || status == 413)
        let code = isSilentOverflow ? .contextTooLong : answer.code
        let detail = answer.message.map { ": " + $0 } ?? (reason.isEmpty ? "" : " " + reason.bounded(to: 100))
        return ProviderError(code, "HTTP \(status)\(detail)", retryAfter: retryAfter)
    }

    /// An error object in the place of an event; nil if this is none.
    static func error(inStream json: JSONValue) -> ProviderError? {
        guard let error = json["error"], !error.isNull else {
            guard json["type"]?.string == "error" else { return nil }
            return .unnamed
        }
        let answer = ErrorAnswer(json)
        return ProviderError(answer.code, answer.message ?? "The model server reported an error: \(answer.kind)")
    }

    private init(_ json: JSONValue?) {
        let error = json?["error"]?.object == nil ? json : json?["error"]
        let text =
            error?["message"]?.nonEmptyString ?? error?["error"]?.nonEmptyString ?? error?["detail"]?.nonEmptyString
        message = text?.bounded(to: Self.maxMessageLength)
        let words = [error?["type"]?.string, error?["code"]?.string].compactMap { $0 }
        kind = words.joined(separator: " ").lowercased().bounded(to: 100)
        status = error?["code"]?.integer ?? error?["status"]?.integer
    }

    private var code: ProviderError.Code {
        if kindHas("insufficient_quota", "billing") || messageHas("credit balance is too low") {
            return .quotaExceeded
        }
        // Before the words are looked at: "too many tokens" per minute is no overflow.
        if status == 429 || kindHas("rate_limit") { return .rateLimited }
        if kindHas("content_policy", "content_filter") { return .refused }
        if kindHas("exceed_context_size", "context_length_exceeded", "request_too_large") { return .contextTooLong }
        if let message, ContextOverflow.matches(message) { return .contextTooLong }
        return status.flatMap(Self.code(status:)) ?? codeOfKind
    }

    private static func code(status: Int) -> ProviderError.Code? {
        switch status {
        case 401, 403: .unauthorized
        case 402: .quotaExceeded
        case 408, 504, 524: .timedOut
        case 409, 425, 529: .overloaded
        case 413: .contextTooLong
        case 400...499: .badRequest
        case 500...599: .overloaded
        case 100...399: .malformed
        default: nil
        }
    }

    /// For errors in a stream, which have no status.
    private var codeOfKind: ProviderError.Code {
        if kindHas("authentication", "permission", "unauthorized") { return .unauthorized }
        if kindHas("timeout") { return .timedOut }
        if kindHas("invalid_request", "not_found", "bad_request") { return .badRequest }
        return .overloaded
    }

    private func kindHas(_ words: String...) -> Bool { words.contains { kind.contains($0) } }
    private func messageHas(_ words: String) -> Bool { message?.lowercased().contains(words) ?? false }
}

extension ProviderError {
    static let unnamed = ProviderError(.overloaded, "The model server reported an error without saying which.")
}
