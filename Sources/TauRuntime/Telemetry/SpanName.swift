/// The names that OpenTelemetry has for work with models
/// (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>), and Tau's own.
enum SpanName {
    static let operation = "gen_ai.operation.name"
    static let provider = "gen_ai.provider.name"
    static let conversation = "gen_ai.conversation.id"
    static let agent = "gen_ai.agent.name"
    static let requestModel = "gen_ai.request.model"
    static let maxTokens = "gen_ai.request.max_tokens"
    static let responseID = "gen_ai.response.id"
    static let finishReasons = "gen_ai.response.finish_reasons"
    static let inputTokens = "gen_ai.usage.input_tokens"
    static let outputTokens = "gen_ai.usage.output_tokens"
    static let cacheReadTokens = "gen_ai.usage.cache_read.input_tokens"
    static let cacheWriteTokens = "gen_ai.usage.cache_creation.input_tokens"
    static let toolName = "gen_ai.tool.name"
    static let toolCallID = "gen_ai.tool.call.id"
    static let systemPrompt = "gen_ai.system_instructions"
    static let inputMessages = "gen_ai.input.messages"
    static let outputMessages = "gen_ai.output.messages"
    static let errorType = "error.type"
    static let run = "tau.run.id"
    static let user = "user.id"
}
