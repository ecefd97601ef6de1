/// Texts and searches brought into one form, in which words are letters and digits between spaces.
enum SearchWords {
    /// Words of a search that count.
    static let maxWords = 20

    /// Bytes of one message that are searched.
    static let maxTextBytes = 64 << 10

    /// The text without a broken character at the bound.
    static func bounded(_ text: String) -> String {
        var bytes = text.utf8.prefix(maxTextBytes)
        while let last = bytes.last, bytes.count == maxTextBytes, last & 0xC0 == 0x80 { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Languages that write without spaces are searched character by character.
    static func separatingIdeographs(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isIdeograph) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            result.append(scalar)
            if isIdeograph(scalar) { result.append(" ") }
        }
        return String(result)
    }

    /// Only letters and digits, in lower case; everything else, and between ideographs, a space.
    static func normalized(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.lowercased().unicodeScalars {
            if isIdeograph(scalar) {
                result.append(contentsOf: [" ", scalar, " "])
            } else {
                result.append(isWordPart(scalar) ? scalar : " ")
            }
        }
        return String(result)
    }

    private static func isWordPart(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) }
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .nonspacingMark,
            .spacingMark, .decimalNumber, .letterNumber, .otherNumber:
            return true
        default: return false
        }
    }

    /// Han, Hiragana, Katakana, and their extensions.
    private static func isIdeograph(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x3040...0x30FF, 0x31F0...0x31FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0x20000...0x323AF:
            true
        default: false
        }
    }
}
