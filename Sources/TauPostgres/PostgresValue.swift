/// A parameter of a query, sent in PostgreSQL's binary format with its type.
package enum PostgresValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    case double(Double)
    case text(String)
    /// Text that is at hand as UTF-8.
    case utf8([UInt8])
    case bytes([UInt8])
    /// Of 16 bytes.
    case uuid([UInt8])
    case integers([Int64])
    case texts([[UInt8]?])
    case uuids([[UInt8]])
    case byteStrings([[UInt8]?])

    /// The type's number in `pg_type`; fixed for the types that every PostgreSQL has.
    var type: UInt32 {
        switch self {
        case .null: 0
        case .bool: 16
        case .bytes: 17
        case .integer: 20
        case .text, .utf8: 25
        case .double: 701
        case .uuid: 2950
        case .byteStrings: 1001
        case .texts: 1009
        case .integers: 1016
        case .uuids: 2951
        }
    }

    /// As the type's receive function reads it; nil for NULL. Numbers are in network order.
    var binary: [UInt8]? {
        switch self {
        case .null: nil
        case .bool(let value): [value ? 1 : 0]
        case .integer(let value): Self.bigEndian(value)
        case .double(let value): Self.bigEndian(value.bitPattern)
        case .text(let value): Array(value.utf8)
        case .utf8(let value), .bytes(let value), .uuid(let value): value
        case .integers(let values): Self.array(values)
        case .texts(let values): Self.array(of: 25, values)
        case .uuids(let values): Self.array(of: 2950, values)
        case .byteStrings(let values): Self.array(of: 17, values)
        }
    }

    var isNull: Bool { if case .null = self { true } else { false } }

    static func bigEndian(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    private static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    /// The beginning of a one-dimensional array, as `array_send` writes it: dimensions, whether there are NULLs, the elements'
    /// type, their number and first index. Each element comes with its length in front.
    private static func array(of type: UInt32, count: Int, hasNulls: Bool, capacity: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(20 + capacity)
        append(Int32(count == 0 ? 0 : 1), to: &bytes)
        append(Int32(hasNulls ? 1 : 0), to: &bytes)
        append(type, to: &bytes)
        guard count > 0 else { return bytes }
        append(Int32(count), to: &bytes)
        append(Int32(1), to: &bytes)
        return bytes
    }

    private static func array(_ values: [Int64]) -> [UInt8] {
        var bytes = array(of: 20, count: values.count, hasNulls: false, capacity: 12 * values.count)
        for value in values {
            append(Int32(8), to: &bytes)
            append(value, to: &bytes)
        }
        return bytes
    }

    private static func array(of type: UInt32, _ elements: [[UInt8]?]) -> [UInt8] {
        let size = elements.reduce(0) { $0 + 4 + ($1?.count ?? 0) }
        var bytes = array(
            of: type, count: elements.count, hasNulls: elements.contains { $0 == nil }, capacity: size)
        for element in elements {
            append(Int32(element?.count ?? -1), to: &bytes)
            if let element { bytes += element }
        }
        return bytes
    }
}
