extension SessionFile {
    /// One line behind the header, without its line feed.
    public struct Line: Sendable {
        public var bytes: ArraySlice<UInt8>
        /// Nil for a line that makes no entry: a blank one, or one that is broken.
        public var entry: Entry?
    }

    /// Every line behind the header, in file order. A last one counts without its line feed.
    public var lines: [Line] {
        var rest = entries[...]
        return Self.splitLines(bytes).dropFirst().map { range in
            let line = bytes[range]
            guard let entry = rest.first, entry.line.elementsEqual(line) else { return Line(bytes: line, entry: nil) }
            rest.removeFirst()
            return Line(bytes: line, entry: entry)
        }
    }
}
