/// Makes bytes of any origin safe to store and to show.
enum CleanText {
    /// UTF-8 without control characters: line feeds and tabs stay, carriage returns go, and every other control
    /// character (NUL, escape, delete, U+0080–U+009F) and every invalid sequence becomes U+FFFD.
    ///
    /// NUL has to go because databases refuse text that contains it, escape because terminals obey it.
    static func clean(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.underestimatedCount)
        var iterator = bytes.makeIterator()
        var decoder = UTF8()
        while true {
            switch decoder.decode(&iterator) {
            case .emptyInput: return result
            case .error: result += replacement
            case .scalarValue(let scalar): append(scalar, to: &result)
            }
        }
    }

    private static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]

    private static func append(_ scalar: Unicode.Scalar, to result: inout [UInt8]) {
        switch scalar.value {
        case 0x0A, 0x09, 0x20...0x7E: result.append(UInt8(truncatingIfNeeded: scalar.value))
        case 0x0D: break
        case 0x00...0x1F, 0x7F...0x9F: result += replacement
        default: result.append(contentsOf: scalar.utf8)
        }
    }
}
