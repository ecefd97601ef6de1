import TauWire

/// Any bytes are a stream of events: the same ones, however the bytes are cut.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzEventStream(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: data, count: count))
    guard let first = bytes.first else { return 0 }
    let whole = events([Array(bytes.dropFirst())])
    // The first byte decides how the rest is cut.
    let size = Int(first % 7) + 1
    let rest = bytes.dropFirst()
    let pieces = stride(from: rest.startIndex, to: rest.endIndex, by: size).map {
        Array(rest[$0..<min($0 + size, rest.endIndex)])
    }
    precondition(events(pieces).events == whole.events, "the events do not depend on how the bytes are cut")
    precondition((events(pieces).failure == nil) == (whole.failure == nil), "neither does the failure")
    // What is written is read as one event with the same data.
    var parser = EventStreamParser(maxEventBytes: 1 << 20)
    var read: [ServerSentEvent] = []
    let isRead = (try? parser.push(EventStreamWriter.event(id: "1", type: "t", data: Array(rest)), into: &read)) != nil
    precondition(isRead && read.count == 1 && read[0].type == "t", "a written event is one event")
    precondition(read[0].data == normalized(Array(rest)), "its data is what was written, line ends as line feeds")
    return 0
}

private func events(_ pieces: [[UInt8]]) -> (events: [ServerSentEvent], failure: EventStreamError?) {
    var parser = EventStreamParser(maxEventBytes: 64)
    var events: [ServerSentEvent] = []
    for piece in pieces {
        do {
            try parser.push(piece, into: &events)
        } catch {
            return (events, error)
        }
    }
    return (events, nil)
}

private func normalized(_ data: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    var index = 0
    while index < data.count {
        if data[index] == 0x0D {
            result.append(0x0A)
            if index + 1 < data.count, data[index + 1] == 0x0A { index += 1 }
        } else {
            result.append(data[index])
        }
        index += 1
    }
    return result
}
