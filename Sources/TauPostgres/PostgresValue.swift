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
        case .integers(let values): Self.array(of: 20, values.map { Self.bigEndian($0) })
        case .texts(let values): Self.array(of: 25, values)
        case .uuids(let values): Self.array(of: 2950, values)
        case .byteStrings(let values): Self.array(of: 17, values)
        }
    }

    static func bigEndian(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.bigEndian) { Array($0) }
    }

    /// A one-dimensional array, as `array_send` writes it: dimensions, whether there are NULLs, the elements' type, their
    /// number and first index, then each with its length in front.
    private static func array(of type: UInt32, _ elements: [[UInt8]?]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(20 + elements.reduce(0) { $0 + 4 + ($1?.count ?? 0) })
        let hasNulls: Int32 = elements.contains { $0 == nil } ? 1 : 0
        result += bigEndian(Int32(elements.isEmpty ? 0 : 1)) + bigEndian(hasNulls) + bigEndian(type)
        guard !elements.isEmpty else { return result }
        result += bigEndian(Int32(elements.count)) + bigEndian(Int32(1))
        for element in elements {
            result += bigEndian(Int32(element?.count ?? -1))
            if let element { result += element }
        }
        return result
    }
}
