internal import TauCore
internal import TauSystem

/// One record of the journal.
///
/// On disk, all numbers little-endian: 4 bytes length of everything behind the next field, 4 bytes CRC-32 of the same, 8 bytes
/// sequence number, 1 byte kind, 1 byte length of the session id, 8 bytes offset, the id, the content.
/// Sequence numbers of a journal grow by one from record to record, so that what an earlier pass over the file left
/// behind the last record is never taken for a record.
struct JournalRecord: Equatable {
    enum Kind: UInt8 {
        /// The content belongs at the offset of the session's file.
        case append = 1
        /// The session's file is durable, and may from now on be somebody else's: earlier records do not concern it any more.
        case release = 2
        /// Records of the session at or behind the offset were taken back.
        case cancel = 3
        /// The journal begins anew; all files are durable.
        case start = 4
        /// The content goes straight into the file: here stand its length (8 bytes) and its CRC-32 (4 bytes). If the file has
        /// something else there, it was torn and never acknowledged.
        case direct = 5
    }

    var sequence: UInt64
    var kind: Kind
    var session: SessionID?
    var offset: Int
    var content: ArraySlice<UInt8>

    fileprivate static let headLength = 8
    /// Sequence number, kind, length of the id, offset.
    fileprivate static let fixedLength = 18

    /// The valid records from the beginning of a journal's content; the first that is torn, or left from before, ends them.
    static func records(in bytes: [UInt8]) -> [JournalRecord] {
        var records: [JournalRecord] = []
        var position = 0
        while let (record, end) = record(in: bytes, at: position) {
            if let last = records.last, record.sequence != last.sequence &+ 1 { break }
            records.append(record)
            position = end
        }
        return records
    }

    /// The number of a journal's first record. Those of one process's journals grow from one to the next.
    static func firstSequence(in journal: FileHandle) throws(StoreError) -> UInt64 {
        let bytes = try journal.read(at: headLength, atMost: 8)
        return bytes.count == 8 ? number(bytes, 0, 8) : 0
    }

    private static func record(in bytes: [UInt8], at position: Int) -> (JournalRecord, end: Int)? {
        guard bytes.count - position >= headLength + fixedLength else { return nil }
        let length = Int(number(bytes, position, 4))
        let start = position + headLength
        guard length >= fixedLength, length <= bytes.count - start else { return nil }
        let sum = bytes.withUnsafeBytes { checksum(UnsafeRawBufferPointer(rebasing: $0[start..<(start + length)])) }
        guard sum == UInt32(number(bytes, position + 4, 4)), let kind = Kind(rawValue: bytes[start + 8]) else {
            return nil
        }
        let idEnd = start + fixedLength + Int(bytes[start + 9])
        let offset = number(bytes, start + 10, 8)
        guard idEnd <= start + length, offset <= UInt64(Int.max) else { return nil }
        let record = JournalRecord(
            sequence: number(bytes, start, 8), kind: kind,
            session: SessionID(String(decoding: bytes[(start + fixedLength)..<idEnd], as: UTF8.self)),
            offset: Int(offset), content: bytes[idEnd..<(start + length)])
        return (record, start + length)
    }

    /// What a `direct` record says of its content.
    var directContent: (count: Int, checksum: UInt32)? {
        guard kind == .direct, content.count == 12 else { return nil }
        let bytes = Array(content)
        return (Int(clamping: Self.number(bytes, 0, 8)), UInt32(Self.number(bytes, 8, 4)))
    }

    private static func number(_ bytes: [UInt8], _ position: Int, _ count: Int) -> UInt64 {
        (0..<count).reversed().reduce(0) { $0 << 8 | UInt64(bytes[position + $1]) }
    }
}

/// Records on their way into the journal. The bytes of an append are encoded here once, for the journal and for the file.
struct JournalBuffer {
    private(set) var bytes: [UInt8] = []
    /// The number of the first record in `bytes`.
    private(set) var firstSequence: UInt64
    private var nextSequence: UInt64

    init(nextSequence: UInt64) {
        firstSequence = nextSequence
        self.nextSequence = nextSequence
    }

    mutating func clear() {
        bytes.removeAll(keepingCapacity: bytes.capacity <= 8 << 20)
        firstSequence = nextSequence
    }

    /// Adds a record; answers where its content lies in `bytes`.
    @discardableResult
    mutating func add(
        _ kind: JournalRecord.Kind, _ session: SessionID?, offset: Int, content: (inout [UInt8]) -> Void = { _ in }
    ) -> Range<Int> {
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: JournalRecord.headLength))
        append(nextSequence)
        bytes.append(kind.rawValue)
        let id = session?.rawValue.utf8
        bytes.append(UInt8(id?.count ?? 0))
        append(UInt64(offset))
        if let id { bytes.append(contentsOf: id) }
        let contentStart = bytes.count
        content(&bytes)
        seal(start)
        nextSequence &+= 1
        return contentStart..<bytes.count
    }

    /// Announces bytes that go straight into a session's file.
    mutating func addDirect(_ session: SessionID, offset: Int, content: [UInt8]) {
        let sum = content.withUnsafeBytes { checksum($0) }
        add(.direct, session, offset: offset) { bytes in
            withUnsafeBytes(of: UInt64(content.count).littleEndian) { bytes.append(contentsOf: $0) }
            withUnsafeBytes(of: sum.littleEndian) { bytes.append(contentsOf: $0) }
        }
    }

    private mutating func append(_ number: UInt64) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private mutating func seal(_ start: Int) {
        bytes.withUnsafeMutableBytes { buffer in
            let body = UnsafeRawBufferPointer(rebasing: buffer[(start + JournalRecord.headLength)...])
            buffer.storeBytes(of: UInt32(body.count).littleEndian, toByteOffset: start, as: UInt32.self)
            buffer.storeBytes(of: checksum(body).littleEndian, toByteOffset: start + 4, as: UInt32.self)
        }
    }
}
