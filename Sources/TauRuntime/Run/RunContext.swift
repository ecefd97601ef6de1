internal import Logging
internal import TauCore

/// What the parts of one run share.
struct RunContext: Sendable {
    let run: ActiveRun
    let session: LiveSession
    let model: ModelDescription
    let provider: any ModelProvider
    let tools: any ToolCatalog
    /// The tools that the model is told of.
    let definitions: [ToolDefinition]
    let thinkingLevel: ThinkingLevel
    /// For sessions without a prompt of their own.
    let defaultSystemPrompt: String?
    let maxTurns: Int
    let limits: RuntimeLimits
    let environment: RuntimeEnvironment
    let logger: Logger

    func publish(_ event: RunEvent) { run.journal.publish(event) }

    /// Publishes the message's end, makes it an entry, and tells of the entry once it is durable.
    func append(_ message: Message) async throws(StoreError) {
        publish(.messageEnd(message))
        for entry in try await session.append([.message(message)]) {
            run.update { $0.leafID = entry.id }
            publish(.entryAppended(entry))
        }
    }
}
