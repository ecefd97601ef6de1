#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Reads server-sent events (WHATWG HTML, 9.2.6) out of the bytes of a stream as they come.
///
/// The events do not depend on how the stream was cut into chunks. An event that the stream's end cuts off is none, as
/// the standard demands. After an error the parser must not be used any more.
package struct EventStreamParser: Sendable {
    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// Bytes that one line, and the data of one event, may have.
    package let maxEventBytes: Int
    /// Milliseconds to wait before the next connection, if the stream has said so.
    package private(set) var retryMilliseconds: Int?
    /// The last `id` that the stream has named.
    package private(set) var lastEventID = ""

    /// The start of a line whose end has not come yet.
    private var partialLine: [UInt8] = []
    /// The last byte was a CR: an LF that follows belongs to the same line end.
    private var skipsLineFeed = false
    private var isFirstLine = true
    private var type = ""
    private var data: [UInt8] = []
    private var hasData = false

    package init(maxEventBytes: Int = 8 << 20) { self.maxEventBytes = maxEventBytes }

    /// Reads one more chunk and appends the events that it completes, also those that come before an error.
    package mutating func push(
        _ chunk: [UInt8], into events: inout [ServerSentEvent]
    ) throws(EventStreamError) {
        try chunk.withUnsafeBufferPointer { buffer throws(EventStreamError) in
            try read(buffer, into: &events)
        }
    }

    private mutating func read(
        _ buffer: UnsafeBufferPointer<UInt8>, into events: inout [ServerSentEvent]
    ) throws(EventStreamError) {
        var start = 0
        // Looked for only after the one before has been passed, else a chunk of CR lines would take quadratic time.
        var lineFeed = Self.position(of: UInt8(ascii: "\n"), in: buffer, from: 0, to: buffer.count)
        while start < buffer.count {
            if skipsLineFeed {
                skipsLineFeed = false
                if buffer[start] == UInt8(ascii: "\n") {
                    start += 1
                    lineFeed = Self.position(of: UInt8(ascii: "\n"), in: buffer, from: start, to: buffer.count)
                    continue
                }
            }
            let end = Self.position(of: UInt8(ascii: "\r"), in: buffer, from: start, to: lineFeed)
            guard end < buffer.count else { break }
            try finishLine(UnsafeBufferPointer(rebasing: buffer[start..<end]), into: &events)
            start = end + 1
            if end == lineFeed {
                lineFeed = Self.position(of: UInt8(ascii: "\n"), in: buffer, from: start, to: buffer.count)
            } else {
                skipsLineFeed = true
            }
        }
        let rest = buffer.count - start
        guard partialLine.count + rest <= maxEventBytes else {
            throw EventStreamError(.lineTooLong, limit: maxEventBytes)
        }
        partialLine.append(contentsOf: buffer[start...])
    }

    /// Where a byte comes first, or `end` if it does not.
    private static func position(
        of byte: UInt8, in buffer: UnsafeBufferPointer<UInt8>, from start: Int, to end: Int
    ) -> Int {
        guard start < end, let base = buffer.baseAddress,
            let found = memchr(base + start, Int32(byte), end - start)
        else { return end }
        return UnsafeRawPointer(found) - UnsafeRawPointer(base)
    }

    // MARK: Lines

    private mutating func finishLine(
        _ rest: UnsafeBufferPointer<UInt8>, into events: inout [ServerSentEvent]
    ) throws(EventStreamError) {
        guard partialLine.count + rest.count <= maxEventBytes else {
            throw EventStreamError(.lineTooLong, limit: maxEventBytes)
        }
        guard !partialLine.isEmpty else { return try take(rest, into: &events) }
        partialLine.append(contentsOf: rest)
        let line = partialLine
        partialLine.removeAll(keepingCapacity: line.count < 65_536)
        try line.withUnsafeBufferPointer { line throws(EventStreamError) in try take(line, into: &events) }
    }

    private mutating func take(
        _ line: UnsafeBufferPointer<UInt8>, into events: inout [ServerSentEvent]
    ) throws(EventStreamError) {
        var line = line
        if isFirstLine {
            isFirstLine = false
            if line.starts(with: Self.byteOrderMark) { line = UnsafeBufferPointer(rebasing: line.dropFirst(3)) }
        }
        guard !line.isEmpty else { return dispatch(into: &events) }
        let colon = Self.position(of: UInt8(ascii: ":"), in: line, from: 0, to: line.count)
        var start = min(colon + 1, line.count)
        if start < line.count, line[start] == UInt8(ascii: " ") { start += 1 }
        let name = UnsafeBufferPointer(rebasing: line[..<colon])
        try field(name, UnsafeBufferPointer(rebasing: line[start...]))
    }

    private mutating func field(
        _ name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>
    ) throws(EventStreamError) {
        if name.elementsEqual("data".utf8) {
            guard data.count + value.count + 1 <= maxEventBytes else {
                throw EventStreamError(.eventTooLong, limit: maxEventBytes)
            }
            if hasData { data.append(UInt8(ascii: "\n")) }
            hasData = true
            data.append(contentsOf: value)
        } else if name.elementsEqual("event".utf8) {
            type = String(decoding: value, as: UTF8.self)
        } else if name.elementsEqual("id".utf8) {
            if !value.contains(0) { lastEventID = String(decoding: value, as: UTF8.self) }
        } else if name.elementsEqual("retry".utf8) {
            let isNumber = !value.isEmpty && value.allSatisfy { $0 &- UInt8(ascii: "0") < 10 }
            if isNumber { retryMilliseconds = Int(String(decoding: value, as: UTF8.self)) ?? retryMilliseconds }
        }
        // A comment has the empty name, and unknown fields are ignored.
    }

    private mutating func dispatch(into events: inout [ServerSentEvent]) {
        defer { type = "" }
        guard hasData else { return }
        events.append(ServerSentEvent(type: type.isEmpty ? "message" : type, data: data, id: lastEventID))
        data = []
        hasData = false
    }
}
