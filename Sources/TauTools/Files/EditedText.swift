internal import TauCore

/// A file's text after some replacements. Whatever lies outside of them is kept byte by byte: line endings, a byte
/// order mark, typographic characters, white space at the ends of lines.
struct EditedText: Sendable {
    struct Replacement: Sendable {
        var old: [UInt8]
        var new: [UInt8]
    }

    let bytes: [UInt8]
    let diff: LineDiff

    /// A place in the original (without its byte order mark) and what comes there.
    private struct Change {
        var range: Range<Int>
        var new: [UInt8]
        var number: Int
    }

    init(_ file: [UInt8], _ replacements: [Replacement], path: String) throws(ToolFailure) {
        let mark: [UInt8] = file.starts(with: [0xEF, 0xBB, 0xBF]) ? [0xEF, 0xBB, 0xBF] : []
        let original = file.dropFirst(mark.count)
        let ending = LineEnding(detectingIn: original)
        let exact = NormalizedText(endings: original)
        let folded = NormalizedText(folding: exact)
        var changes: [Change] = []
        for (index, replacement) in replacements.enumerated() {
            let label = replacements.count == 1 ? "The oldText" : "The oldText of edit \(index + 1)"
            let range = try Self.place(of: replacement.old, exact, folded, label: label, path: path)
            let new = NormalizedText(endings: replacement.new[...]).bytes
            changes.append(Change(range: range, new: ending.applied(to: new), number: index + 1))
        }
        changes.sort { $0.range.lowerBound < $1.range.lowerBound }
        for (first, second) in zip(changes, changes.dropFirst())
        where first.range.upperBound > second.range.lowerBound {
            throw ToolFailure(
                .failed,
                "Edits \(first.number) and \(second.number) overlap in \(path); make one edit of them")
        }
        let result = Self.applied(changes, to: Array(original))
        guard result != Array(original) else {
            throw ToolFailure(.failed, "Nothing would change in \(path): the new text is the same as the old one")
        }
        bytes = mark + result
        diff = Self.diff(Array(original), result, changes)
    }

    /// Where a replacement goes: at its exact text, or else where only typography and trailing white space differ.
    ///
    /// It must be the only such place even if it is exact: with a twin next to it a model may well have meant the
    /// other.
    private static func place(
        of old: [UInt8], _ exact: NormalizedText, _ folded: NormalizedText, label: String, path: String
    ) throws(ToolFailure) -> Range<Int> {
        let needle = NormalizedText(endings: old[...])
        let foldedNeedle = NormalizedText(folding: needle)
        // White space alone leaves nothing to look for in the folded text.
        let count =
            foldedNeedle.bytes.isEmpty ? exact.occurrences(of: needle) : folded.occurrences(of: foldedNeedle)
        guard count <= 1 else {
            throw ToolFailure(
                .failed, "\(label) occurs \(count) times in \(path); add lines around it until it occurs only once")
        }
        guard let range = exact.originalRange(of: needle) ?? folded.originalRange(of: foldedNeedle) else {
            throw ToolFailure(
                .failed,
                "\(label) was not found in \(path); it must match exactly, with all white space and line breaks")
        }
        return range
    }

    private static func applied(_ changes: [Change], to original: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var position = 0
        for change in changes {
            result += original[position..<change.range.lowerBound]
            result += change.new
            position = change.range.upperBound
        }
        return result + original[position...]
    }

    private static func diff(_ old: [UInt8], _ new: [UInt8], _ changes: [Change]) -> LineDiff {
        var shift = 0
        var edits: [(old: Range<Int>, new: Range<Int>)] = []
        for change in changes {
            let start = change.range.lowerBound + shift
            edits.append((change.range, start..<(start + change.new.count)))
            shift += change.new.count - change.range.count
        }
        return LineDiff(old: old, new: new, edits: edits)
    }
}
