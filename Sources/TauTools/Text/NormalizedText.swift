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

    /// Also blind to what models tend to write differently: compatibility characters and the composition of accents
    /// (NFKC), white space at the ends of lines, and typographic quotes, dashes and spaces. White space at the beginning of
    /// a line counts.
    init(folding text: NormalizedText) {
        reserve(text.bytes.count)
        let source = text.bytes
        var index = 0
        while index < source.count {
            let end = Self.endOfRun(source, from: index)
            if end == index + 1 {
                if source[index] == UInt8(ascii: "\n") { trimLineEnd() }
                append(source[index], from: Int(text.origins[index]))
            } else {
                appendFolded(source[index..<end], text.origins)
            }
            index = end
        }
        trimLineEnd()
        origins.append(text.origins[source.count])
    }

    /// The end of a piece that can be normalised by itself: one ASCII byte, or one and what follows it up to the next.
    /// Only what is not ASCII changes what is before it.
    private static func endOfRun(_ bytes: [UInt8], from start: Int) -> Int {
        var end = start + 1
        while end < bytes.count, bytes[end] >= 0x80 { end += 1 }
        return end
    }

    private mutating func appendFolded(_ run: ArraySlice<UInt8>, _ origins: [UInt32]) {
        guard let text = String(validating: run, as: UTF8.self) else {
            for index in run.indices { append(run[index], from: Int(origins[index])) }
            return
        }
        // NFKC never reaches over the bounds of a grapheme cluster.
        var index = run.startIndex
        for character in text {
            let bytes = run[index..<(index + character.utf8.count)]
            if character == "\n" { trimLineEnd() }
            let folded = Self.folded(bytes)
            if folded.elementsEqual(bytes) {
                for index in bytes.indices { append(bytes[index], from: Int(origins[index])) }
            } else {
                for byte in folded { append(byte, from: Int(origins[bytes.startIndex])) }
            }
            index = bytes.endIndex
        }
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

    /// What a character is compared as.
    private static func folded(_ character: ArraySlice<UInt8>) -> [UInt8] {
        let composed = UnicodeText.compatibilityComposed(character) ?? Array(character)
        return String(decoding: composed, as: UTF8.self).unicodeScalars.flatMap { scalar -> [UInt8] in
            switch scalar.value {
            case 0x2018...0x201B: Array("'".utf8)
            case 0x201C...0x201F: Array("\"".utf8)
            case 0x2010...0x2015, 0x2212: Array("-".utf8)
            case 0x00A0, 0x2000...0x200A, 0x202F, 0x205F, 0x3000: Array(" ".utf8)
            default: Array(String(scalar).utf8)
            }
        }
    }
}
