internal import TauCore

/// Any bytes are an answer of a model or a failure, in both dialects: the events begin and end in order, their blocks
/// make a message that can be stored and read back, and cutting the bytes elsewhere changes nothing.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzModelAnswer(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    guard let first = bytes.first else { return 0 }
    let stream = Array(bytes.dropFirst())
    let prices = Prices(input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75)
    let pieceSize = Int(first / 2 % 13) + 1
    if first.isMultiple(of: 2) {
        check(stream, pieceSize) { ChatAnswer(prices: prices) }
    } else {
        check(stream, pieceSize) { MessagesAnswer(prices: prices) }
    }
    return 0
}

private func check<Decoder: AnswerDecoder>(_ stream: [UInt8], _ pieceSize: Int, _ make: () -> Decoder) {
    let whole = decode([stream], make())
    let pieces = stride(from: 0, to: stream.count, by: pieceSize).map {
        Array(stream[$0..<min($0 + pieceSize, stream.count)])
    }
    precondition(decode(pieces, make()) == whole, "the answer does not depend on how the bytes are cut")

    var assembler = MessageAssembler()
    for event in whole.events { assembler.apply(event) }
    let message = Message.assistant(
        AssistantMessage(
            content: assembler.content, api: "a", model: ModelReference(provider: "p", id: "m"), usage: assembler.usage,
            stopReason: whole.reply?.stopReason ?? .error, timestamp: Timestamp(milliseconds: 0)))
    let entry = Entry(
        .message(message), id: EntryID(unchecked: "e"), parentID: nil, timestamp: Timestamp(milliseconds: 0))
    precondition(entry.role == .assistant, "an answer can be stored")
    precondition(Message(json: entry.json["message"] ?? .null)?.role == .assistant, "and read back")
}

private struct Outcome: Equatable {
    var events: [ModelEvent] = []
    var reply: ModelReply?
    var failure: ProviderError?
}

private func decode(_ pieces: [[UInt8]], _ decoder: some AnswerDecoder) -> Outcome {
    var reader = AnswerReader(decoder, maxEventBytes: 4096)
    var outcome = Outcome()
    func sink(_ event: ModelEvent) { outcome.events.append(event) }
    do throws(ProviderError) {
        for piece in pieces {
            let result = piece.withUnsafeBufferPointer { bytes in
                Result { () throws(ProviderError) in try reader.push(bytes, to: sink) }
            }
            try result.get()
        }
        outcome.reply = try reader.finish(to: sink)
    } catch {
        outcome.failure = error
    }
    return outcome
}
