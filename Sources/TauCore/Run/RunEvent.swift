/// What watchers of a run are told, in the order in which it happened. The names are Pi's; `runState`, `entryAppended`
/// and all from `entryAppended` on are Tau's.
public enum RunEvent: Sendable {
    case runState(Run)
    case agentStart
    case turnStart
    case messageStart(Message)
    case messageUpdate(ModelEvent, toolCall: ToolCall?)
    case messageEnd(Message)
    case toolExecutionStart(ToolCall)
    case toolExecutionUpdate(ToolCall, partial: ToolOutput)
    case toolExecutionEnd(ToolCall, result: ToolOutput, isError: Bool)
    case turnEnd(message: Message, results: [ToolResultMessage])
    case agentEnd([Message])
    /// Sent only once the entry is durable.
    case entryAppended(Entry)
    case compactionStart(CompactionReason)
    /// The summary's entry, or why there is none.
    case compactionEnd(Entry?, failure: String?)
    /// The model call failed and is made again after so many milliseconds; the first time is attempt 1.
    case retry(attempt: Int, delayMilliseconds: Int, reason: String)
    /// Another model takes over for the rest of the run.
    case modelFallback(from: ModelReference, to: ModelReference, reason: String)
    case approvalRequired(ToolCall)

    public var type: String {
        switch self {
        case .runState: "run_state"
        case .agentStart: "agent_start"
        case .turnStart: "turn_start"
        case .messageStart: "message_start"
        case .messageUpdate: "message_update"
        case .messageEnd: "message_end"
        case .toolExecutionStart: "tool_execution_start"
        case .toolExecutionUpdate: "tool_execution_update"
        case .toolExecutionEnd: "tool_execution_end"
        case .turnEnd: "turn_end"
        case .agentEnd: "agent_end"
        case .entryAppended: "entry_appended"
        case .compactionStart: "compaction_start"
        case .compactionEnd: "compaction_end"
        case .retry: "retry"
        case .modelFallback: "model_fallback"
        case .approvalRequired: "approval_required"
        }
    }

    /// The event's data: one JSON object on one line, with the type in it.
    public var serialized: [UInt8] {
        var writer = JSONWriter(reserving: 192)
        writer.object { writer in
            writer.member("type", type)
            switch self {
            case .agentStart, .turnStart: break
            case .runState(let run):
                writer.key("run")
                run.write(to: &writer)
            case .messageStart(let message), .messageEnd(let message):
                writer.key("message")
                message.write(to: &writer)
            case .messageUpdate(let event, let call):
                writer.key("assistantMessageEvent")
                event.write(to: &writer, toolCall: call)
            case .toolExecutionStart(let call):
                call.writeHead(to: &writer)
                writer.key("args")
                writer.value(call.arguments)
            case .toolExecutionUpdate(let call, let partial):
                call.writeHead(to: &writer)
                writer.key("args")
                writer.value(call.arguments)
                writer.key("partialResult")
                partial.write(to: &writer)
            case .toolExecutionEnd(let call, let result, let isError):
                call.writeHead(to: &writer)
                writer.key("result")
                result.write(to: &writer)
                writer.member("isError", isError)
            case .turnEnd(let message, let results):
                writer.key("message")
                message.write(to: &writer)
                writer.key("toolResults")
                writer.array { writer in for result in results { Message.toolResult(result).write(to: &writer) } }
            case .agentEnd(let messages):
                writer.key("messages")
                writer.array { writer in for message in messages { message.write(to: &writer) } }
            case .entryAppended(let entry):
                writer.key("entry")
                writer.raw(entry.line)
            case .compactionStart(let reason): writer.member("reason", reason.rawValue)
            case .compactionEnd(let entry, let failure):
                if let entry {
                    writer.key("entry")
                    writer.raw(entry.line)
                }
                writer.member("error", ifPresent: failure)
            case .retry(let attempt, let delay, let reason):
                writer.member("attempt", attempt)
                writer.member("delayMs", delay)
                writer.member("reason", reason)
            case .modelFallback(let from, let to, let reason):
                writer.key("from")
                from.write(to: &writer)
                writer.key("to")
                to.write(to: &writer)
                writer.member("reason", reason)
            case .approvalRequired(let call): call.writeApproval(to: &writer)
            }
        }
        return writer.bytes
    }
}

extension ToolCall {
    fileprivate func writeHead(to writer: inout JSONWriter) {
        writer.member("toolCallId", id)
        writer.member("toolName", name)
    }
}

extension ToolOutput {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.key("content")
            writer.array { writer in for block in content { block.write(to: &writer) } }
            if let details { writer.member("details", details) }
        }
    }
}

extension ModelEvent {
    fileprivate func write(to writer: inout JSONWriter, toolCall: ToolCall?) {
        func head(_ writer: inout JSONWriter, _ type: String, _ index: Int) {
            writer.member("type", type)
            writer.member("contentIndex", index)
        }
        writer.object { writer in
            switch self {
            case .textStart(let index): head(&writer, "text_start", index)
            case .textDelta(let index, let delta):
                head(&writer, "text_delta", index)
                writer.member("delta", delta)
            case .textEnd(let index, _): head(&writer, "text_end", index)
            case .thinkingStart(let index): head(&writer, "thinking_start", index)
            case .thinkingDelta(let index, let delta):
                head(&writer, "thinking_delta", index)
                writer.member("delta", delta)
            case .thinkingEnd(let index, _, _): head(&writer, "thinking_end", index)
            case .toolCallStart(let index, let id, let name):
                head(&writer, "toolcall_start", index)
                writer.member("id", id)
                writer.member("toolName", name)
            case .toolCallDelta(let index, let delta):
                head(&writer, "toolcall_delta", index)
                writer.member("delta", delta)
            case .toolCallEnd(let index, _):
                head(&writer, "toolcall_end", index)
                if let toolCall {
                    writer.key("toolCall")
                    ContentBlock.toolCall(toolCall).write(to: &writer)
                }
            case .usage: writer.member("type", "usage")
            }
        }
    }
}
