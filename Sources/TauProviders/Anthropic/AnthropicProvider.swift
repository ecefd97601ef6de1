internal import NIOHTTP1
internal import TauCore

/// Anthropic's Messages API, and servers that speak it.
struct AnthropicProvider: ModelProvider {
    static let api = "anthropic-messages"

    let name: String
    let server: ModelServer
    var maxConcurrentCalls: Int?

    func stream(
        _ request: ModelRequest, to sink: (ModelEvent) -> Void
    ) async throws(ProviderError) -> ModelReply {
        let messages = MessagesRequest(request: request)
        var headers = server.headers
        if let key = server.key { headers.replaceOrAdd(name: "x-api-key", value: key) }
        headers.replaceOrAdd(name: "anthropic-version", value: "2023-06-01")
        headers.add(name: "anthropic-beta", value: messages.betas.joined(separator: ","))
        return try await server.answer(
            path: server.endpoint.base.hasSuffix("/v1") ? "/messages" : "/v1/messages", headers: headers,
            body: messages.body, decoder: MessagesAnswer(prices: request.model.prices), to: sink)
    }
}
