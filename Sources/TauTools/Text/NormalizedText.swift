internal import TauSystem

/// A text brought into a form in which it can be compared, with the way back: where in the original each byte came
/// from.
///
/// So a place that was found in the normal form can be replaced in the original, and everything else stays as it was,
/// byte by byte, even where it is not valid UTF-8.
struct NormalizedText {
    private(set) var bytes: [UInt8] = []
    /// For each byte, and for the end, the offset in the original; a file here is far smaller than 4 GiB.
    private var origins: [UInt32] = []

    /// Lines end in a line feed alone.
    init(endings original: ArraySlice<UInt8>) {
        reserve(original.count)
        var index = original.startIndex
        while index < original.endIndex {
            var byte = original[index]
            let origin = index
            if byte == UInt8(ascii: "\r") {
                byte = UInt8(ascii: "\n")
                if index + 1 < original.endIndex, original[index + 1] == UInt8(ascii: "\n") { index += 1 }
            }
            append(byte, from: origin - original.startIndex)
            index += 1
        }
        origins.append(UInt32(original.count))
    }

    /// Also blind to what models tend to write differently: white space at the ends of lines, and typographic quotes,
    /// dashes and spaces. White space at the beginning of a line counts.
    ///
    /// Of Unicode's compatibility normal form (NFKC) it knows full-width ASCII (U+FF01–U+FF5E), the spaces and the
    /// ellipsis (U+2026); ligatures, superscripts, half-width kana and the composition of accents are compared as they
    /// are.
    init(folding text: NormalizedText) {
        reserve(text.bytes.count)
        let source = text.bytes
        var index = 0
        while index < source.count {
            let length = Self.sequenceLength(source, at: index)
            if source[index] == UInt8(ascii: "\n") { trimLineEnd() }
            if let replacement = Self.folded(source[index..<(index + length)]) {
                for byte in replacement { append(byte, from: Int(text.origins[index])) }
            } else {
                for offset in index..<(index + length) { append(source[offset], from: Int(text.origins[offset])) }
            }
            index += length
        }
        trimLineEnd()
        origins.append(text.origins[source.count])
    }

    private mutating func reserve(_ count: Int) {
        bytes.reserveCapacity(count)
        origins.reserveCapacity(count + 1)
    }

    private mutating func append(_ byte: UInt8, from origin: Int) {
        bytes.append(byte)
        origins.append(UInt32(origin))
    }

    private mutating func trimLineEnd() {
        while let last = bytes.last, last == 0x20 || (0x09...0x0D).contains(last) && last != 0x0A {
            bytes.removeLast()
            origins.removeLast()
        }
    }

    // MARK: Finding

    /// Where `needle` first lies, as a range of the original; nil also if it would begin or end within a character.
    func originalRange(of needle: NormalizedText) -> Range<Int>? {
        guard let start = bytes.firstOffset(of: needle.bytes) else { return nil }
        let end = start + needle.bytes.count
        let isWhole = (start == 0 || origins[start] != origins[start - 1]) && origins[end] != origins[end - 1]
        return isWhole ? Int(origins[start])..<Int(origins[end]) : nil
    }

    /// How often `needle` lies in the text without overlapping itself.
    func occurrences(of needle: NormalizedText) -> Int {
        var count = 0
        var start = 0
        while let found = bytes.firstOffset(of: needle.bytes, from: start) {
            count += 1
            start = found + needle.bytes.count
        }
        return count
    }

    // MARK: Folding

    /// The length of the UTF-8 sequence at `index`; 1 for an invalid byte.
    private static func sequenceLength(_ bytes: [UInt8], at index: Int) -> Int {
        let expected =
            switch bytes[index] {
            case 0xC2...0xDF: 2
            case 0xE0...0xEF: 3
            case 0xF0...0xF4: 4
            default: 1
            }
        let end = index + expected
        guard end <= bytes.count, bytes[(index + 1)..<end].allSatisfy({ $0 & 0xC0 == 0x80 }) else { return 1 }
        return expected
    }

    /// What a character is compared as; nil if as itself.
    private static func folded(_ sequence: ArraySlice<UInt8>) -> [UInt8]? {
        guard sequence.count > 1, let scalar = String(decoding: sequence, as: UTF8.self).unicodeScalars.first else {
            return nil
        }
        switch scalar.value {
        case 0x2018...0x201B: return Array("'".utf8)
        case 0x201C...0x201F: return Array("\"".utf8)
        case 0x2010...0x2015, 0x2212: return Array("-".utf8)
        case 0x00A0, 0x2000...0x200A, 0x202F, 0x205F, 0x3000: return Array(" ".utf8)
        case 0x2026: return Array("...".utf8)
        // The full-width forms lie in the order of ASCII.
        case 0xFF01...0xFF5E: return [UInt8(scalar.value - 0xFF01 + 0x21)]
        default: return nil
        }
    }
}
