package import ServiceContextModule
package import Tracing

/// Does something under a span of its own, which ends with it and says what went wrong.
package func traced<Value, Failure: Error>(
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

/// The same for a question to another server, such as a database, where there is a trace that it belongs to: what is done in the
/// background makes none of its own.
package func tracedQuestion<Value, Failure: Error>(
    to system: String, _ body: () async throws(Failure) -> Value
) async throws(Failure) -> Value {
    guard ServiceContext.current?.trace != nil else { return try await body() }
    return try await traced(system, kind: .client) { span throws(Failure) in
        if span.isRecording { span.add([.name("db.system.name", system)]) }
        return try await body()
    }
}
