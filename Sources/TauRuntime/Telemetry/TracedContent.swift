internal import TauCore

/// What was said, as OpenTelemetry has it in spans: `gen_ai.input.messages` and `gen_ai.output.messages`
/// (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>). Images are named, not told.
enum TracedContent {
    /// The last messages that fit into so many bytes.
    static func json(of messages: [Message], maxBytes: Int) -> String {
        var kept: [[UInt8]] = []
        var byteCount = 2
        for message in messages.reversed() {
            var writer = JSONWriter()
            write(message, to: &writer)
            byteCount += writer.bytes.count + 1
            guard byteCount <= maxBytes else { break }
            kept.append(writer.bytes)
        }
        return "[" + kept.reversed().map { String(decoding: $0, as: UTF8.self) }.joined(separator: ",") + "]"
    }

    /// Instructions are parts without a role; too long ones are left out.
    static func json(ofSystemPrompt text: String, maxBytes: Int) -> String {
        var writer = JSONWriter()
        writer.array { writer in write(.text(text), to: &writer) }
        return writer.bytes.count <= maxBytes ? String(decoding: writer.bytes, as: UTF8.self) : "[]"
    }

    private static func write(_ message: Message, to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("role", role(of: message))
            writer.key("parts")
            writer.array { writer in
                switch message {
                case .system(let system): write(.text(system.text), to: &writer)
                case .user(let user): for block in user.content { write(block, to: &writer) }
                case .assistant(let answer): for block in answer.content { write(block, to: &writer) }
                case .toolResult(let result):
                    writer.object { writer in
                        writer.member("type", "tool_call_response")
                        writer.member("id", result.toolCallID)
                        writer.member("response", result.content.compactMap(\.text).joined(separator: "\n"))
                    }
                }
            }
            if case .assistant(let answer) = message { writer.member("finish_reason", answer.stopReason.rawValue) }
        }
    }

    private static func role(of message: Message) -> String {
        switch message {
        case .system: "system"
        case .user: "user"
        case .assistant: "assistant"
        case .toolResult: "tool"
        }
    }

    private static func write(_ block: ContentBlock, to writer: inout JSONWriter) {
        writer.object { writer in
            switch block {
            case .text(let text):
                writer.member("type", "text")
                writer.member("content", text.text)
            case .thinking(let thinking):
                writer.member("type", "reasoning")
                writer.member("content", thinking.thinking)
            case .image(let image):
                writer.member("type", "blob")
                writer.member("mime_type", image.mimeType)
                writer.member("modality", "image")
            case .toolCall(let call):
                writer.member("type", "tool_call")
                writer.member("id", call.id)
                writer.member("name", call.name)
                writer.member("arguments", .object(call.arguments))
            }
        }
    }
}
