/// Writes `\w`, `\d` and `\s` of an expression as the sets that ripgrep means by them, for an engine that means ASCII.
///
/// Unicode Technical Standard 18, Annex C: `\d` is Decimal_Number, `\s` is White_Space, and `\w` is Alphabetic, marks,
/// decimal numbers, connectors and Join_Control.
enum UnicodeClasses {
    // What Alphabetic has beyond letters, letter numbers and marks are the enclosed Latin letters.
    private static let word =
        #"\p{L}\p{Nl}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189}"#
    private static let space =
        #"\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"#

    static func written(in expression: String) -> String {
        let pattern = Array(expression.utf8)
        var result: [UInt8] = []
        var index = 0
        var isInClass = false
        while index < pattern.count {
            let byte = pattern[index]
            if byte == UInt8(ascii: "\\"), index + 1 < pattern.count {
                let escaped = pattern[index...(index + 1)]
                result += set(pattern[index + 1], isInClass: isInClass).map { Array($0.utf8) } ?? Array(escaped)
                index += 2
                continue
            }
            if !isInClass, byte == UInt8(ascii: "[") {
                isInClass = true
                // A bracket that follows at once is a character.
                var count = 1
                for next in [UInt8(ascii: "^"), UInt8(ascii: "]")]
                where index + count < pattern.count && pattern[index + count] == next { count += 1 }
                result += pattern[index..<(index + count)]
                index += count
                continue
            }
            if isInClass, pattern[index...].starts(with: "[:".utf8),
                let end = pattern[index...].firstRange(of: ":]".utf8)
            {
                result += pattern[index..<end.upperBound]
                index = end.upperBound
                continue
            }
            if byte == UInt8(ascii: "]") { isInClass = false }
            result.append(byte)
            index += 1
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// What to write for a backslash and this letter; nil if that is to stay. A class cannot hold what is not in a set, so
    /// there `\W` and `\S` keep to ASCII.
    private static func set(_ letter: UInt8, isInClass: Bool) -> String? {
        switch (letter, isInClass) {
        case (UInt8(ascii: "d"), _): #"\p{Nd}"#
        case (UInt8(ascii: "D"), _): #"\P{Nd}"#
        case (UInt8(ascii: "w"), true): word
        case (UInt8(ascii: "w"), false): "[\(word)]"
        case (UInt8(ascii: "W"), false): "[^\(word)]"
        case (UInt8(ascii: "s"), true): space
        case (UInt8(ascii: "s"), false): "[\(space)]"
        case (UInt8(ascii: "S"), false): "[^\(space)]"
        default: nil
        }
    }
}
