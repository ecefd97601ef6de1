import TauCore
import TauWire
import Testing

@testable import TauProviders

/// What a decoder makes of a stream.
struct Decoded: Equatable {
    var content: [ContentBlock] = []
    var usage = Usage()
    var reply: ModelReply?
    var error: ProviderError?
    var events: [ModelEvent] = []

    init(_ bytes: [UInt8], _ decoder: some AnswerDecoder, chunkSize: Int = .max) {
        var reader = AnswerReader(decoder, maxEventBytes: 1 << 20)
        var assembler = MessageAssembler()
        var events: [ModelEvent] = []
        func sink(_ event: ModelEvent) {
            assembler.apply(event)
            events.append(event)
        }
        do {
            var start = 0
            while start < bytes.count {
                let end = start + min(chunkSize, bytes.count - start)
                try Array(bytes[start..<end]).withUnsafeBufferPointer { try reader.push($0, to: sink) }
                start = end
            }
            reply = try reader.finish(to: sink)
        } catch {
            self.error = error as? ProviderError
        }
        content = assembler.content
        usage = assembler.usage
        self.events = events
    }

    /// The data of events as a Chat Completions stream.
    static func chat(_ chunks: String..., prices: Prices? = nil) -> Decoded {
        Decoded(Array(chunks.map { "data: \($0)\n\n" }.joined().utf8), ChatAnswer(prices: prices))
    }

    /// The data of events as a Messages stream.
    static func messages(_ chunks: String..., prices: Prices? = nil) -> Decoded {
        Decoded(Array(chunks.map { "data: \($0)\n\n" }.joined().utf8), MessagesAnswer(prices: prices))
    }
}

func toolCall(_ id: String, _ name: String, _ arguments: JSONValue = [:]) -> ContentBlock {
    .toolCall(ToolCall(id: id, name: name, arguments: arguments.object ?? JSONObject()))
}

func thinking(_ text: String, _ signature: String? = nil, isRedacted: Bool = false) -> ContentBlock {
    .thinking(ThinkingBlock(thinking: text, signature: signature, isRedacted: isRedacted))
}
