internal import Glibc

/// Looking for bytes, which is most of the work on long texts: the C library looks at 32 of them at once.
extension Array<UInt8> {
    /// Where the byte first is at or after `start`; nil if it is not.
    func offset(of byte: UInt8, from start: Int = 0) -> Int? {
        withUnsafeBytes { $0.offset(of: byte, from: start) }
    }

    /// Where the next line feed at or after `start` is; nil if there is none.
    func lineFeed(from start: Int) -> Int? { offset(of: lineFeedByte, from: start) }

    /// Where the last line feed in front of `end` is; nil if there is none.
    func lineFeed(before end: Int) -> Int? {
        withUnsafeBytes { $0[..<end].lastIndex(of: lineFeedByte) }
    }

    /// Lines are what stands between line feeds: an empty text has one.
    var lineCount: Int {
        withUnsafeBytes { bytes in
            var (count, start) = (1, 0)
            while let end = bytes.offset(of: lineFeedByte, from: start) {
                count += 1
                start = end + 1
            }
            return count
        }
    }

    /// Where the line of that index begins; nil if there are fewer.
    func start(ofLine index: Int) -> Int? {
        var start = 0
        for _ in 0..<index {
            guard let end = lineFeed(from: start) else { return nil }
            start = end + 1
        }
        return start
    }
}

private let lineFeedByte = UInt8(ascii: "\n")

extension UnsafeRawBufferPointer {
    fileprivate func offset(of byte: UInt8, from start: Int) -> Int? {
        guard let base = baseAddress, start < count, let found = memchr(base + start, Int32(byte), count - start) else {
            return nil
        }
        return UnsafeRawPointer(found) - base
    }
}
