internal import TauCore

/// A text cut to a number of lines and bytes, and what was cut.
///
/// Lines are what stands between line feeds, so a final line feed is followed by one more, empty line. Bytes are UTF-8.
struct Truncation: Sendable, Hashable {
    enum Bound: String, Sendable { case lines, bytes }

    var content: String
    /// Which bound cut it; nil if it is whole.
    var truncatedBy: Bound?
    var totalLines: Int
    var totalBytes: Int
    var outputLines: Int
    var outputBytes: Int
    /// The tail begins within a line, because that line alone is too long.
    var lastLinePartial = false
    /// The head is empty, because the first line alone is too long.
    var firstLineExceedsLimit = false
    var maxLines: Int
    var maxBytes: Int

    var isTruncated: Bool { truncatedBy != nil }

    /// The first lines that fit; never a part of a line.
    static func head(_ text: some Collection<UInt8>, maxLines: Int, maxBytes: Int) -> Truncation {
        let bytes = Array(text)
        let totalLines = bytes.lineCount
        var end = 0
        var lines = 0
        var bound: Bound?
        while lines < totalLines {
            if lines == maxLines {
                bound = .lines
                break
            }
            // The first line begins at the start, each further one behind the line feed at `end`.
            let start = lines == 0 ? 0 : end + 1
            let lineEnd = bytes.lineFeed(from: start) ?? bytes.count
            if lineEnd > maxBytes {
                bound = .bytes
                break
            }
            end = lineEnd
            lines += 1
        }
        return Truncation(
            content: String(decoding: bytes[..<end], as: UTF8.self), truncatedBy: bound, totalLines: totalLines,
            totalBytes: bytes.count, outputLines: lines, outputBytes: end,
            firstLineExceedsLimit: lines == 0 && bound == .bytes, maxLines: maxLines, maxBytes: maxBytes)
    }

    /// The last lines that fit. If the last one that has any text is too long, its end.
    static func tail(_ text: some Collection<UInt8>, maxLines: Int, maxBytes: Int) -> Truncation {
        let bytes = Array(text)
        let totalLines = bytes.lineCount
        var start = bytes.count
        var lines = 0
        var bound: Bound?
        var isPartial = false
        while lines < totalLines {
            if lines == maxLines {
                bound = .lines
                break
            }
            let lineEnd = lines == 0 ? bytes.count : start - 1
            let lineStart = bytes.lineFeed(before: lineEnd).map { $0 + 1 } ?? 0
            if bytes.count - lineStart > maxBytes {
                bound = .bytes
                // Nothing but the empty lines behind the final line feeds would be left.
                if bytes[start...].allSatisfy({ $0 == UInt8(ascii: "\n") }) {
                    start = characterStart(in: bytes, from: bytes.count - maxBytes)
                    isPartial = true
                    lines += 1
                }
                break
            }
            start = lineStart
            lines += 1
        }
        return Truncation(
            content: String(decoding: bytes[start...], as: UTF8.self), truncatedBy: bound, totalLines: totalLines,
            totalBytes: bytes.count, outputLines: lines, outputBytes: bytes.count - start, lastLinePartial: isPartial,
            maxLines: maxLines, maxBytes: maxBytes)
    }

    /// The first offset at or after `offset` at which a UTF-8 sequence begins.
    private static func characterStart(in bytes: [UInt8], from offset: Int) -> Int {
        bytes[offset...].firstIndex { $0 & 0xC0 != 0x80 } ?? bytes.count
    }

    /// As programs find it in a result's details.
    var json: JSONValue {
        [
            "truncated": .bool(isTruncated),
            "truncatedBy": truncatedBy.map { .string($0.rawValue) } ?? .null,
            "totalLines": .integer(totalLines),
            "totalBytes": .integer(totalBytes),
            "outputLines": .integer(outputLines),
            "outputBytes": .integer(outputBytes),
            "lastLinePartial": .bool(lastLinePartial),
            "firstLineExceedsLimit": .bool(firstLineExceedsLimit),
            "maxLines": .integer(maxLines),
            "maxBytes": .integer(maxBytes),
        ]
    }
}
