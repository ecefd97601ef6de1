internal import ServiceContextModule
internal import TauCore
internal import Tracing

/// Does something under a span of its own, which ends with it and says what went wrong.
func traced<Value, Failure: Error>(
    _ name: String, kind: SpanKind = .internal, in context: ServiceContext? = nil,
    _ body: (any Span) async throws(Failure) -> Value
) async throws(Failure) -> Value {
    let context = context ?? ServiceContext.current ?? .topLevel
    let span = InstrumentationSystem.tracer.startAnySpan(name, context: context, ofKind: kind)
    defer { span.end() }
    let result: Result<Value, Failure> = await ServiceContext.withValue(span.context) {
        do throws(Failure) {
            return .success(try await body(span))
        } catch {
            span.recordError(error)
            span.setStatus(SpanStatus(code: .error))
            return .failure(error)
        }
    }
    return try result.get()
}

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
    static let errorType = "error.type"
    static let run = "tau.run.id"
    static let user = "user.id"
}
