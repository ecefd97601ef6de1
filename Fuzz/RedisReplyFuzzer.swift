/// Any bytes are replies or not: the same ones, however the bytes are cut.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRedisReplies(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    guard let first = bytes.first else { return 0 }
    let rest = Array(bytes.dropFirst())
    let size = Int(first % 7) + 1
    let pieces = stride(from: 0, to: rest.count, by: size).map { Array(rest[$0..<min($0 + size, rest.count)]) }
    let (whole, cut) = (replies([rest]), replies(pieces))
    precondition(whole.replies.count == cut.replies.count, "the replies do not depend on how the bytes are cut")
    precondition(whole.isBroken == cut.isBroken, "neither does the failure")
    for (left, right) in zip(whole.replies, cut.replies) {
        // A NaN is not equal to itself.
        precondition("\(left)" == "\(right)", "each reply is the same")
    }
    return 0
}

private func replies(_ pieces: [[UInt8]]) -> (replies: [RedisReply], isBroken: Bool) {
    var parser = RedisReplyParser(maxBytes: 1 << 16)
    var replies: [RedisReply] = []
    for piece in pieces {
        parser.add(piece)
        do throws(RedisError) {
            while let reply = try parser.next() { replies.append(reply) }
        } catch {
            return (replies, true)
        }
    }
    return (replies, false)
}
