internal import TauCore

/// Finds where a session file's whole lines end, without reading what lies between its first line and its last. The calls block.
struct SessionExtent {
    private let handle: FileHandle
    private let limits: SessionFile.Limits
    private static let stepBytes = 64 << 10

    init(_ handle: FileHandle, _ limits: SessionFile.Limits) {
        self.handle = handle
        self.limits = limits
    }

    /// Bytes of the file without a torn last line. An append that is under way may have left one.
    func byteCount(of id: SessionID) throws(StoreError) -> Int {
        let size = try handle.size()
        let lineStart = try lastLineStart(size)
        let lastLine = try handle.read(at: lineStart, atMost: size - lineStart)
        let isTorn = !lastLine.isEmpty && (try? JSONValue(parsing: lastLine)) == nil
        let byteCount = isTorn ? lineStart : size
        _ = try SessionFile(stored: try firstLine(byteCount), as: id, limits)
        return byteCount
    }

    /// Where what follows the last line feed begins.
    private func lastLineStart(_ size: Int) throws(StoreError) -> Int {
        var end = size
        while end > 0 {
            let start = max(0, end - Self.stepBytes)
            let bytes = try handle.read(at: start, atMost: end - start)
            if let feed = bytes.lastIndex(of: UInt8(ascii: "\n")) { return start + feed + 1 }
            guard size - start <= limits.maxLineBytes else { break }
            end = start
        }
        return 0
    }

    private func firstLine(_ size: Int) throws(StoreError) -> [UInt8] {
        size == 0 ? [] : try handle.readLine(at: 0, limit: limits.maxLineBytes)
    }
}
