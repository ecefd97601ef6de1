internal import NIOHTTP1
internal import TauCore

/// OpenAI's Chat Completions, and the many servers that speak it.
struct OpenAIChatProvider: ModelProvider {
    static let api = "openai-completions"

    let name: String
    let server: ModelServer
    let compatibility: ChatCompatibility
    var maxConcurrentCalls: Int?

    func stream(
        _ request: ModelRequest, to sink: (ModelEvent) -> Void
    ) async throws(ProviderError) -> ModelReply {
        var headers = server.headers
        if let key = server.key { headers.replaceOrAdd(name: "authorization", value: "Bearer \(key)") }
        // An address without a path is that of a local server, whose API lies under /v1 too.
        return try await server.answer(
            path: server.endpoint.hasPath ? "/chat/completions" : "/v1/chat/completions", headers: headers,
            body: ChatRequest(request: request, compatibility: compatibility).body,
            decoder: ChatAnswer(prices: request.model.prices), to: sink)
    }
}
