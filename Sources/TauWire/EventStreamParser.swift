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
    private var type: [UInt8] = []
    /// The event's data, unless it is one line that stands in the chunk at hand.
    private var data: [UInt8] = []
    private var hasData = false

    /// An event as it stands in memory; to be used during the call that gives it, and not kept.
    package struct EventView {
        /// What the `event` field says; empty where there is none.
        package let type: UnsafeBufferPointer<UInt8>
        /// The `data` lines, joined by line feeds.
        package let data: UnsafeBufferPointer<UInt8>
    }

    package init(maxEventBytes: Int = 8 << 20) { self.maxEventBytes = maxEventBytes }

    /// Reads one more chunk and appends the events that it completes, also those that come before an error.
    package mutating func push(
        _ chunk: [UInt8], into events: inout [ServerSentEvent]
    ) throws(EventStreamError) {
        var received: [(type: [UInt8], data: [UInt8], id: String)] = []
        // An id belongs to all events that follow it.
        let result = chunk.withUnsafeBufferPointer { buffer in
            Result { () throws(EventStreamError) in
                try read(buffer) { event, id in
                    received.append((Array(event.type), Array(event.data), id))
                    return true
                }
            }
        }
        for event in received {
            let type = event.type.isEmpty ? "message" : String(decoding: event.type, as: UTF8.self)
            events.append(ServerSentEvent(type: type, data: event.data, id: event.id))
        }
        try result.get()
    }

    /// Reads one more chunk and hands out each event that it completes with the last id; `take` answers whether to go on.
    package mutating func read(
        _ chunk: UnsafeBufferPointer<UInt8>, _ take: (EventView, String) -> Bool
    ) throws(EventStreamError) {
        var start = 0
        // A data line of this chunk that may be the whole event.
        var inPlace: UnsafeBufferPointer<UInt8>?
        defer { if let inPlace { data.append(contentsOf: inPlace) } }
        // Looked for only after the one before has been passed, else a chunk of CR lines would take quadratic time.
        var lineFeed = Self.position(of: UInt8(ascii: "\n"), in: chunk, from: 0, to: chunk.count)
        while start < chunk.count {
            if skipsLineFeed {
                skipsLineFeed = false
                if chunk[start] == UInt8(ascii: "\n") {
                    start += 1
                    lineFeed = Self.position(of: UInt8(ascii: "\n"), in: chunk, from: start, to: chunk.count)
                    continue
                }
            }
            let end = Self.position(of: UInt8(ascii: "\r"), in: chunk, from: start, to: lineFeed)
            guard end < chunk.count else { break }
            let line = UnsafeBufferPointer(rebasing: chunk[start..<end])
            start = end + 1
            if end == lineFeed {
                lineFeed = Self.position(of: UInt8(ascii: "\n"), in: chunk, from: start, to: chunk.count)
            } else {
                skipsLineFeed = true
            }
            guard try finishLine(line, &inPlace, take) else { return }
        }
        let rest = chunk.count - start
        guard partialLine.count + rest <= maxEventBytes else {
            throw EventStreamError(.lineTooLong, limit: maxEventBytes)
        }
        partialLine.append(contentsOf: chunk[start...])
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
        _ rest: UnsafeBufferPointer<UInt8>, _ inPlace: inout UnsafeBufferPointer<UInt8>?,
        _ take: (EventView, String) -> Bool
    ) throws(EventStreamError) -> Bool {
        guard partialLine.count + rest.count <= maxEventBytes else {
            throw EventStreamError(.lineTooLong, limit: maxEventBytes)
        }
        guard !partialLine.isEmpty else { return try self.line(rest, &inPlace, isInChunk: true, take) }
        partialLine.append(contentsOf: rest)
        let line = partialLine
        partialLine.removeAll(keepingCapacity: line.count < 65_536)
        return try line.withUnsafeBufferPointer { line throws(EventStreamError) in
            try self.line(line, &inPlace, isInChunk: false, take)
        }
    }

    private mutating func line(
        _ line: UnsafeBufferPointer<UInt8>, _ inPlace: inout UnsafeBufferPointer<UInt8>?, isInChunk: Bool,
        _ take: (EventView, String) -> Bool
    ) throws(EventStreamError) -> Bool {
        var line = line
        if isFirstLine {
            isFirstLine = false
            if line.starts(with: Self.byteOrderMark) { line = UnsafeBufferPointer(rebasing: line.dropFirst(3)) }
        }
        guard !line.isEmpty else { return dispatch(&inPlace, take) }
        let colon = Self.position(of: UInt8(ascii: ":"), in: line, from: 0, to: line.count)
        var start = min(colon + 1, line.count)
        if start < line.count, line[start] == UInt8(ascii: " ") { start += 1 }
        let name = UnsafeBufferPointer(rebasing: line[..<colon])
        let value = UnsafeBufferPointer(rebasing: line[start...])
        if Self.equals(name, "data") {
            try takeData(value, &inPlace, isInChunk: isInChunk)
        } else if Self.equals(name, "event") {
            type.removeAll(keepingCapacity: true)
            type.append(contentsOf: value)
        } else if Self.equals(name, "id") {
            if !value.contains(0) { lastEventID = String(decoding: value, as: UTF8.self) }
        } else if Self.equals(name, "retry") {
            let isNumber = !value.isEmpty && value.allSatisfy { $0 &- UInt8(ascii: "0") < 10 }
            if isNumber { retryMilliseconds = Int(String(decoding: value, as: UTF8.self)) ?? retryMilliseconds }
        }
        // A comment has the empty name, and unknown fields are ignored.
        return true
    }

    @inline(__always)
    private static func equals(_ name: UnsafeBufferPointer<UInt8>, _ other: StaticString) -> Bool {
        guard name.count == other.utf8CodeUnitCount else { return false }
        for index in 0..<name.count where name[index] != other.utf8Start[index] { return false }
        return true
    }

    private mutating func takeData(
        _ value: UnsafeBufferPointer<UInt8>, _ inPlace: inout UnsafeBufferPointer<UInt8>?, isInChunk: Bool
    ) throws(EventStreamError) {
        if !hasData, isInChunk, value.count < maxEventBytes {
            hasData = true
            inPlace = value
            return
        }
        if let first = inPlace {
            data.append(contentsOf: first)
            inPlace = nil
        }
        guard data.count + value.count + 1 <= maxEventBytes else {
            throw EventStreamError(.eventTooLong, limit: maxEventBytes)
        }
        if hasData { data.append(UInt8(ascii: "\n")) }
        hasData = true
        data.append(contentsOf: value)
    }

    private mutating func dispatch(
        _ inPlace: inout UnsafeBufferPointer<UInt8>?, _ take: (EventView, String) -> Bool
    ) -> Bool {
        defer { type.removeAll(keepingCapacity: true) }
        guard hasData else { return true }
        hasData = false
        let goesOn = type.withUnsafeBufferPointer { type in
            if let whole = inPlace { return take(EventView(type: type, data: whole), lastEventID) }
            return data.withUnsafeBufferPointer { take(EventView(type: type, data: $0), lastEventID) }
        }
        inPlace = nil
        data.removeAll(keepingCapacity: data.count < 65_536)
        return goesOn
    }
}
