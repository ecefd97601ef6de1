import TauCore
import Testing

@testable import TauProviders

struct ErrorAnswerTests {
    private func error(_ status: Int, _ body: String = "", reason: String = "") -> ProviderError {
        ErrorAnswer.error(status: status, reason: reason, retryAfter: nil, body: Array(body.utf8))
    }

    @Test(arguments: [
        (400, ProviderError.Code.badRequest), (401, .unauthorized), (402, .quotaExceeded), (403, .unauthorized),
        (404, .badRequest), (408, .timedOut), (409, .overloaded), (413, .contextTooLong), (422, .badRequest),
        (429, .rateLimited), (500, .overloaded), (502, .overloaded), (503, .overloaded), (504, .timedOut),
        (529, .overloaded), (302, .malformed),
    ])
    func `a status has its meaning`(_ status: Int, _ code: ProviderError.Code) {
        #expect(error(status, "x", reason: "Reason") == ProviderError(code, "HTTP \(status) Reason"))
    }

    @Test(arguments: [
        "prompt is too long: 213462 tokens > 200000 maximum", "Input is too long for requested model.",
        "Your input exceeds the context window of this model.",
        "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "Please reduce the length of the messages or completion.",
        "This endpoint's maximum context length is 128000 tokens. However, you requested about 200000 tokens.",
        "request (9190 tokens) exceeds the available context size (4096 tokens), try increasing it",
        "Prompt contains 9000 tokens, too large for model with 8192 maximum context length", "context_length_exceeded",
        "model_context_window_exceeded", "the request exceeds the limit of 1234", "token limit exceeded",
    ])
    func `a prompt that is too long is recognised`(_ message: String) {
        let body = JSONValue.object(JSONObject(members: [.init(key: "error", value: ["message": .string(message)])]))
        #expect(error(400, body.text) == ProviderError(.contextTooLong, "HTTP 400: \(message)"))
        // Tokens per minute are another matter.
        #expect(error(429, body.text).code == .rateLimited)
    }

    @Test func `other words do not make a prompt too long`() {
        for message in ["exceeds the limit of patience", "maximum context length is unknown", "rate limit", ""] {
            #expect(!ContextOverflow.matches(message))
        }
    }

    @Test func `an empty body of a 400 is how one provider says that the prompt is too long`() {
        #expect(error(400, reason: "Bad Request") == ProviderError(.contextTooLong, "HTTP 400 Bad Request"))
        #expect(error(500, reason: "").message == "HTTP 500")
    }

    @Test(arguments: [
        #"{"error":{"message":"No","type":"t"}}"#, #"{"type":"error","error":{"type":"t","message":"No"}}"#,
        #"{"error":"No"}"#, #"{"message":"No"}"#, #"{"detail":"No"}"#,
    ])
    func `the message is found in every shape`(_ body: String) {
        #expect(error(400, body).message == "HTTP 400: No")
    }

    @Test func `money is told from haste`() {
        #expect(error(429, #"{"error":{"message":"x","code":"insufficient_quota"}}"#).code == .quotaExceeded)
        let balance = #"{"error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}"#
        #expect(error(400, balance).code == .quotaExceeded)
        #expect(error(400, #"{"error":{"message":"x","code":"content_policy_violation"}}"#).code == .refused)
    }

    @Test func `a long message is cut, and control characters go`() {
        let message = error(500, #"{"error":"a\n\u0007b\#(String(repeating: "c", count: 2000))"}"#).message
        #expect(message.hasPrefix("HTTP 500: a  bccc"))
        #expect(message.unicodeScalars.count == 1011)
    }
}
