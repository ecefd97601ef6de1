internal import TauCore
internal import TauProviders

/// How fast streams of answers are read. The streams are made here, in the form that the servers' own have.
struct ModelBench {
    private let clock = ContinuousClock()

    func parsing() throws -> [Figure] {
        try [("Chat Completions", ProviderSettings.API.openai), ("Messages", .anthropic)].map { name, api in
            let stream = Self.stream(api)
            var best = 0.0
            // The first rounds warm up.
            for round in 0..<8 {
                let start = clock.now
                let count = try AnswerBench.read(stream, as: api, pieceSize: 16_384)
                precondition(count > Self.eventCount)
                let rate = Double(stream.count) / 1e6 / (clock.now - start).seconds
                if round > 1 { best = max(best, rate) }
            }
            return Figure("streams of \(name) read", best, "MB/s", atLeast: 200)
        }
    }

    private static let eventCount = 40_000
    private static let words = [" the", " answer", " is", " a", " somewhat", " longer", ",", " and", " 语言", "\\n"]

    private static func stream(_ api: ProviderSettings.API) -> [UInt8] {
        var text = ""
        switch api {
        case .openai:
            for index in 0..<eventCount {
                text += """
                    data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"\(words[index % words.count])"}}],\
                    "created":1780000000,"id":"chatcmpl-ZSmwKa0ot28bsQNtggrunZjk2NjyyeaL","model":"some-model",\
                    "system_fingerprint":"b1-abcdef0","object":"chat.completion.chunk"}\n\n
                    """
            }
            text +=
                #"data: {"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"id":"x"}"# + "\n\ndata: [DONE]\n\n"
        case .anthropic:
            text += """
                event: message_start
                data: {"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":5,"output_tokens":1}}}

                event: content_block_start
                data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}


                """
            for index in 0..<eventCount {
                text += """
                    event: content_block_delta
                    data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\(words[index % words.count])"}}\n\n
                    """
            }
            text += "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
        }
        return Array(text.utf8)
    }
}
