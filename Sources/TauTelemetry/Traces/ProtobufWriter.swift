/// Writes the wire format of Protocol Buffers (<https://protobuf.dev/programming-guides/encoding/>): what a message needs to be sent, no
/// more. Fields that have their default are left out, as `proto3` does.
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    mutating func varint(_ field: Int, _ value: UInt64) {
        guard value != 0 else { return }
        raw(UInt64(field << 3))
        raw(value)
    }

    /// A number of a `oneof`, which is written also where it is zero.
    mutating func always(_ field: Int, varint value: UInt64) {
        raw(UInt64(field << 3))
        raw(value)
    }

    mutating func fixed64(_ field: Int, _ value: UInt64) {
        raw(UInt64(field << 3 | 1))
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func fixed32(_ field: Int, _ value: UInt32) {
        raw(UInt64(field << 3 | 5))
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func string(_ field: Int, _ text: String) {
        guard !text.isEmpty else { return }
        always(field, string: text)
    }

    mutating func always(_ field: Int, string text: String) {
        block(field, byteCount: text.utf8.count)
        bytes.append(contentsOf: text.utf8)
    }

    /// Eight bytes each, as ids are written.
    mutating func identifier(_ field: Int, _ parts: UInt64...) {
        block(field, byteCount: parts.count * 8)
        for part in parts { withUnsafeBytes(of: part.bigEndian) { bytes.append(contentsOf: $0) } }
    }

    /// A message in its place: most are so short that their length has the one byte that is kept for it.
    mutating func message(_ field: Int, _ body: (inout ProtobufWriter) -> Void) {
        block(field, byteCount: 0)
        let place = bytes.count - 1
        body(&self)
        let count = bytes.count - place - 1
        guard count >= 0x80 else {
            bytes[place] = UInt8(count)
            return
        }
        var length = ProtobufWriter()
        length.raw(UInt64(count))
        bytes.replaceSubrange(place...place, with: length.bytes)
    }

    /// What stands before so many bytes.
    private mutating func block(_ field: Int, byteCount: Int) {
        raw(UInt64(field << 3 | 2))
        raw(UInt64(byteCount))
    }

    private mutating func raw(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }
}
