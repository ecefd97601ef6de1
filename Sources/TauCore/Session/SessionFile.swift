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
        let lines: ArraySlice<Range<Int>>
        (self, lines) = try Self.framed(content, identifiers)
        take(Self.readEntries(lines, of: bytes, limits))
    }

    /// The same on several processors, for large files and callers that are not one of many.
    public static func parsing(
        _ content: [UInt8], limits: Limits = Limits(), identifiers: IdentifierSource = IdentifierSource()
    ) async throws(EntryError) -> SessionFile {
        var (file, lines) = try framed(content, identifiers)
        let count = max(partLines, lines.count / maxParts + 1)
        let parts = stride(from: lines.startIndex, to: lines.endIndex, by: count).map {
            lines[$0..<min($0 + count, lines.endIndex)]
        }
        let bytes = file.bytes
        let read = await withTaskGroup(of: (Int, Part).self) { group in
            for (index, part) in parts.enumerated() {
                group.addTask { (index, readEntries(part, of: bytes, limits)) }
            }
            var read = [Part?](repeating: nil, count: parts.count)
            for await (index, part) in group { read[index] = part }
            return read
        }
        for part in read { if let part { file.take(part) } }
        return file
    }

    private init(header: SessionHeader, bytes: [UInt8]) {
        self.header = header
        self.bytes = bytes
        entries = []
        findings = []
        tornTail = []
        originalVersion = header.version
    }

    /// A file without its entries yet, and the lines that they are on; line numbers are indices from 1.
    private static func framed(
        _ content: [UInt8], _ identifiers: IdentifierSource
    ) throws(EntryError) -> (SessionFile, ArraySlice<Range<Int>>) {
        var lines = splitLines(content)
        var tornTail: [UInt8] = []
        var bytes = content
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
        var file = SessionFile(header: try SessionHeader(line: bytes[first]), bytes: bytes)
        file.tornTail = tornTail
        if file.header.version < SessionHeader.currentVersion {
            let migration = SessionMigration(
                header: file.header, lines: lines, content: bytes, identifiers: identifiers)
            file.bytes = migration.content
            lines = splitLines(file.bytes)
            file.header = try SessionHeader(line: file.bytes[lines[0]])
        }
        return (file, lines.dropFirst())
    }

    /// What lines behind each other hold.
    private struct Part: Sendable {
        var entries: [Entry] = []
        var findings: [Finding] = []
    }

    /// Fewer lines are not worth a task of their own.
    private static let partLines = 1000
    private static let maxParts = 4

    private static func readEntries(
        _ lines: ArraySlice<Range<Int>>, of bytes: [UInt8], _ limits: Limits
    ) -> Part {
        var part = Part()
        part.entries.reserveCapacity(lines.count)
        for (index, range) in zip(lines.indices, lines) where !isBlank(bytes[range]) {
            // The header has index 0 and is line 1.
            let number = index + 1
            guard range.count <= limits.maxLineBytes else {
                part.findings.append(
                    Finding(lineNumber: number, reason: "the line is longer than \(limits.maxLineBytes) bytes"))
                continue
            }
            do throws(EntryError) {
                part.entries.append(try Entry(line: bytes[range]))
            } catch {
                part.findings.append(Finding(lineNumber: number, reason: error.reason))
            }
        }
        return part
    }

    private mutating func take(_ part: Part) {
        if entries.isEmpty { entries = part.entries } else { entries += part.entries }
        findings += part.findings
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
