/// A session file's content, read and checked: the header, the entries in file order, and what was wrong.
///
/// The bytes are kept once; header and entries point into them.
public struct SessionFile: Sendable {
    /// A line that makes no entry. It stays in the file and is skipped when reading.
    public struct Finding: Sendable, Equatable {
        /// From 1.
        public var lineNumber: Int
        public var reason: String
    }

    /// Bounds of a file.
    public struct Limits: Sendable {
        /// Bytes of one line.
        public var maxLineBytes: Int

        public init(maxLineBytes: Int = 64 << 20) { self.maxLineBytes = maxLineBytes }
    }

    public private(set) var header: SessionHeader
    public private(set) var entries: [Entry]
    /// The whole content, line feeds included, without a torn tail; in version 3.
    public private(set) var bytes: [UInt8]
    /// Broken lines in the middle.
    public private(set) var findings: [Finding]
    /// Bytes behind the last whole line, torn by a crash; they are not in `bytes`.
    public private(set) var tornTail: [UInt8]
    /// The version that the file had before it was migrated to 3.
    public private(set) var originalVersion: Int

    /// A new session.
    public init(header: SessionHeader, entries: [Entry] = []) {
        self.header = header
        self.entries = entries
        var bytes = Array(header.line)
        bytes.append(UInt8(ascii: "\n"))
        for entry in entries {
            bytes.append(contentsOf: entry.line)
            bytes.append(UInt8(ascii: "\n"))
        }
        self.bytes = bytes
        findings = []
        tornTail = []
        originalVersion = SessionHeader.currentVersion
    }

    /// Reads a file of any version and migrates it to version 3. Only a missing or broken header is an error.
    ///
    /// A last line without a line feed is torn if it is not valid JSON; otherwise it is whole and only its line feed is missing.
    public init(
        parsing content: [UInt8], limits: Limits = Limits(), identifiers: IdentifierSource = IdentifierSource()
    ) throws(EntryError) {
        var lines = Self.splitLines(content)
        tornTail = []
        bytes = content
        findings = []
        entries = []
        if let last = lines.last, last.upperBound == content.count, !last.isEmpty {
            let isWhole = (try? content[last].scanned()) != nil
            if !isWhole {
                tornTail = Array(content[last])
                lines.removeLast()
                bytes = Array(content[..<last.lowerBound])
            }
        }
        guard let first = lines.first else {
            throw EntryError(reason: tornTail.isEmpty ? "the file is empty" : "the file has no whole line")
        }
        header = try SessionHeader(line: bytes[first])
        originalVersion = header.version
        if header.version < SessionHeader.currentVersion {
            let migration = SessionMigration(header: header, lines: lines, content: bytes, identifiers: identifiers)
            bytes = migration.content
            lines = Self.splitLines(bytes)
            header = try SessionHeader(line: bytes[lines[0]])
        }
        readEntries(lines.dropFirst(), limits)
    }

    private mutating func readEntries(_ lines: ArraySlice<Range<Int>>, _ limits: Limits) {
        entries.reserveCapacity(lines.count)
        for (index, range) in lines.enumerated() where !Self.isBlank(bytes[range]) {
            // The header is line 1.
            let number = index + 2
            guard range.count <= limits.maxLineBytes else {
                findings.append(
                    Finding(lineNumber: number, reason: "the line is longer than \(limits.maxLineBytes) bytes"))
                continue
            }
            do throws(EntryError) {
                entries.append(try Entry(line: bytes[range]))
            } catch {
                findings.append(Finding(lineNumber: number, reason: error.reason))
            }
        }
    }

    /// The lines' ranges without their line feeds; a last line without one counts. U+2028 and U+2029 end no line.
    static func splitLines(_ content: [UInt8]) -> [Range<Int>] {
        var lines: [Range<Int>] = []
        var start = 0
        content.withUnsafeBufferPointer { buffer in
            while start < buffer.count {
                let end = nextLineFeed(in: buffer, from: start)
                lines.append(start..<end)
                start = end + 1
            }
        }
        return lines
    }

    /// Where the next line feed is, or the end; eight bytes at a time.
    private static func nextLineFeed(in buffer: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let raw = UnsafeRawBufferPointer(buffer)
        var position = start
        while position &+ 8 <= buffer.count {
            // Little-endian: the lowest byte that differs from none is the first one.
            let word = UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            let difference = word ^ (ones &* 0x0A)
            let found = (difference &- ones) & ~difference & (ones &* 0x80)
            if found != 0 { return position + found.trailingZeroBitCount / 8 }
            position &+= 8
        }
        while position < buffer.count, buffer[position] != UInt8(ascii: "\n") { position += 1 }
        return position
    }

    static func isBlank(_ line: ArraySlice<UInt8>) -> Bool {
        line.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
    }
}
