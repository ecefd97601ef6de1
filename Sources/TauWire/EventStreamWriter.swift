/// Writes server-sent events (WHATWG HTML, 9.2.6).
package enum EventStreamWriter {
    /// One event. Line ends in the data start a further `data:` line, so nothing in it can end the event or begin another.
    ///
    /// `id` and `type` must not hold line ends; what follows one is left out.
    package static func event(id: String?, type: String?, data: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(data.count + 64)
        append(id: id, type: type, data: data, to: &bytes)
        return bytes
    }

    /// The same behind what is there.
    package static func append(id: String?, type: String?, data: [UInt8], to bytes: inout [UInt8]) {
        if let id { field("id", Array(id.utf8), &bytes) }
        if let type { field("event", Array(type.utf8), &bytes) }
        if data.hasLineEnds { lines(data, &bytes) } else { line(data[...], &bytes) }
        bytes.append(UInt8(ascii: "\n"))
    }

    private static func line(_ line: ArraySlice<UInt8>, _ bytes: inout [UInt8]) {
        bytes.append(contentsOf: "data: ".utf8)
        bytes.append(contentsOf: line)
        bytes.append(UInt8(ascii: "\n"))
    }

    private static func lines(_ data: [UInt8], _ bytes: inout [UInt8]) {
        var start = 0
        var index = 0
        while index < data.count {
            let byte = data[index]
            guard byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") else {
                index += 1
                continue
            }
            line(data[start..<index], &bytes)
            let isPair = byte == UInt8(ascii: "\r") && index + 1 < data.count && data[index + 1] == UInt8(ascii: "\n")
            index += isPair ? 2 : 1
            start = index
        }
        line(data[start...], &bytes)
    }

    /// A comment, which readers ignore: a sign of life.
    package static func comment(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        field("", Array(text.utf8), &bytes)
        bytes.append(UInt8(ascii: "\n"))
        return bytes
    }

    private static func field(_ name: String, _ value: [UInt8], _ bytes: inout [UInt8]) {
        bytes.append(contentsOf: name.utf8)
        bytes.append(contentsOf: ": ".utf8)
        bytes.append(contentsOf: value.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") && $0 != 0 })
        bytes.append(UInt8(ascii: "\n"))
    }
}

extension [UInt8] {
    /// All bytes are looked at, many at once, because there are hardly ever any.
    fileprivate var hasLineEnds: Bool {
        reduce(0) { $0 | ($1 == UInt8(ascii: "\n") || $1 == UInt8(ascii: "\r") ? 1 : 0) } as UInt8 != 0
    }
}
