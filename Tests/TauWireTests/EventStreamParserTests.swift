import TauTestKit
import TauWire
import Testing

/// The events of a stream that comes in chunks of these sizes, the last size repeated.
func events(of bytes: [UInt8], chunkSizes: [Int] = [.max], limit: Int = 8 << 20) throws -> [ServerSentEvent] {
    var parser = EventStreamParser(maxEventBytes: limit)
    var events: [ServerSentEvent] = []
    var start = 0
    var sizes = chunkSizes.makeIterator()
    var size = sizes.next() ?? .max
    while start < bytes.count {
        let end = start + min(size, bytes.count - start)
        try parser.push(Array(bytes[start..<end]), into: &events)
        start = end
        size = sizes.next() ?? size
    }
    return events
}

private func events(of text: String) throws -> [ServerSentEvent] { try events(of: Array(text.utf8)) }

private func event(_ data: String, type: String = "message", id: String = "") -> ServerSentEvent {
    ServerSentEvent(type: type, data: Array(data.utf8), id: id)
}

struct EventStreamParserTests {
    @Test func `fields make an event, and an empty line ends it`() throws {
        #expect(try events(of: "event: add\ndata: 73857293\nid: 7\n\n") == [event("73857293", type: "add", id: "7")])
    }

    @Test(arguments: ["\n", "\r", "\r\n"])
    func `each kind of line end counts`(_ end: String) throws {
        let text = ["data: a", "data: b", "", "data: c", "", ""].joined(separator: end)
        #expect(try events(of: text) == [event("a\nb"), event("c")])
    }

    @Test func `one space after the colon is dropped, and no more`() throws {
        #expect(try events(of: "data:a\n\ndata: a\n\ndata:  a\n\n") == [event("a"), event("a"), event(" a")])
    }

    @Test func `comments and unknown fields are ignored`() throws {
        #expect(try events(of: ": ping\n\n:\n\nfoo: bar\ndata: x\n: y\n\n") == [event("x")])
    }

    @Test func `an event without data is none, and data without text is one`() throws {
        #expect(try events(of: "event: a\n\ndata\n\ndata:\ndata:\n\n") == [event(""), event("\n")])
    }

    @Test func `the id stays for later events, and one with a NUL is ignored`() throws {
        let text = "id: 1\ndata: a\n\ndata: b\n\nid: x\0y\ndata: c\n\nid\ndata: d\n\n"
        #expect(
            try events(of: text) == [event("a", id: "1"), event("b", id: "1"), event("c", id: "1"), event("d")])
    }

    @Test func `a byte order mark counts only at the start`() throws {
        #expect(try events(of: "\u{FEFF}data: a\n\n\u{FEFF}data: b\n\n") == [event("a")])
    }

    @Test func `an event that the end cuts off is none`() throws {
        #expect(try events(of: "data: a\n\ndata: b\n") == [event("a")])
    }

    @Test func `a waiting time is kept if it is a number`() throws {
        var parser = EventStreamParser()
        var events: [ServerSentEvent] = []
        try parser.push(Array("retry: 1500\nretry: 2s\nretry:\nretry: 99999999999999999999\n\n".utf8), into: &events)
        #expect(parser.retryMilliseconds == 1500)
        #expect(events.isEmpty)
    }

    @Test func `a line or an event that is too long is an error, after the events before it`() throws {
        for text in ["data: 0123456789abcdef", "data: 0123456789abcdef\n", ":012345678901234567890\n"] {
            var parser = EventStreamParser(maxEventBytes: 16)
            var events: [ServerSentEvent] = []
            #expect(throws: EventStreamError(.lineTooLong, limit: 16)) {
                try parser.push(Array(("data: a\n\n" + text).utf8), into: &events)
            }
            #expect(events == [event("a")])
        }
        #expect(throws: EventStreamError(.eventTooLong, limit: 16)) {
            try TauWireTests.events(of: Array("data: 01234567\ndata: 01234567\n\n".utf8), limit: 16)
        }
    }

    @Test func `the events do not depend on the chunks`() throws {
        let parts = [
            "data: ", "data", ":", " ", "\r", "\n", "\r\n", "\n\n", "é😀", "event: e", "id: 3", "\u{FEFF}", "x",
            "retry: 5",
        ]
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<500 {
            let text = (0..<40).map { _ in parts.randomElement(using: &generator) ?? "" }.joined()
            let bytes = Array(text.utf8)
            let whole = try events(of: bytes)
            #expect(try events(of: bytes, chunkSizes: [1]) == whole, "\(text.debugDescription)")
            let sizes = (0..<bytes.count).map { _ in Int.random(in: 1...9, using: &generator) }
            #expect(try events(of: bytes, chunkSizes: sizes) == whole, "\(text.debugDescription)")
        }
    }

    @Test func `what the writer writes is read back`() throws {
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<200 {
            let alphabet = Array("ab:\r\n d\0".utf8)
            let data = (0..<30).compactMap { _ in alphabet.randomElement(using: &generator) }
            let bytes = EventStreamWriter.event(id: "7", type: "t", data: data)
            // Scalar by scalar: for Swift a CR and an LF are one character.
            var normalized = String.UnicodeScalarView()
            for (index, byte) in data.enumerated() where byte != 0x0A || index == 0 || data[index - 1] != 0x0D {
                normalized.append(byte == 0x0D ? "\n" : Unicode.Scalar(byte))
            }
            #expect(try events(of: bytes) == [event(String(normalized), type: "t", id: "7")])
        }
    }
}
