package import TauCore

/// Reads streams of answers from memory, to measure how fast that is.
package enum AnswerBench {
    /// Reads a whole stream in pieces of so many bytes, as they come from a socket; answers the number of steps.
    package static func read(
        _ stream: [UInt8], as api: ProviderSettings.API, pieceSize: Int
    ) throws(ProviderError) -> Int {
        switch api {
        case .anthropic: try read(stream, MessagesAnswer(prices: nil), pieceSize)
        case .openai: try read(stream, ChatAnswer(prices: nil), pieceSize)
        }
    }

    private static func read(
        _ stream: [UInt8], _ decoder: some AnswerDecoder, _ pieceSize: Int
    ) throws(ProviderError) -> Int {
        var reader = AnswerReader(decoder, maxEventBytes: 8 << 20)
        var assembler = MessageAssembler()
        var count = 0
        let result = stream.withUnsafeBufferPointer { bytes in
            Result { () throws(ProviderError) in
                var start = 0
                while start < bytes.count {
                    let end = min(start + pieceSize, bytes.count)
                    try reader.push(UnsafeBufferPointer(rebasing: bytes[start..<end])) { event in
                        assembler.apply(event)
                        count += 1
                    }
                    start = end
                }
            }
        }
        try result.get()
        _ = try reader.finish { _ in }
        return count
    }
}
