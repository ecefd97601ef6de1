/// Shows replacements in a text as numbered lines: removed ones, added ones and a few around them.
struct LineDiff {
    /// The diff's text: `-12 old`, `+12 new`, ` 13 same`, and ` ...` where lines are left out.
    let text: String
    /// Counted from 1 in the new text.
    let firstChangedLine: Int?

    private static let contextLines = 4

    /// A run of lines that is replaced by others; unchanged lines lie before, between and after the runs.
    private struct Hunk {
        var old: Range<Int>
        var new: Range<Int>
    }

    /// Compares two texts whose lines end in line feeds. The number of steps grows with the length of the texts, not
    /// with its square: what two edits enclose is compared line by line only at its ends.
    init(old: [UInt8], new: [UInt8], edits: [(old: Range<Int>, new: Range<Int>)]) {
        let oldLines = old.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let newLines = new.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let hunks = Self.hunks(oldLines, newLines, edits)
        let width = String(max(oldLines.count, newLines.count)).utf8.count
        var output: [String] = []
        let gap = Array("...".utf8)[...]

        func line(_ sign: String, _ number: Int?, _ bytes: ArraySlice<UInt8>) {
            let content = String(decoding: bytes.last == UInt8(ascii: "\r") ? bytes.dropLast() : bytes, as: UTF8.self)
            let digits = number.map { String($0 + 1) } ?? ""
            output.append(sign + String(repeating: " ", count: width - digits.utf8.count) + digits + " " + content)
        }
        func context(_ range: Range<Int>) {
            for row in range { line(" ", row, oldLines[row]) }
        }

        var position = 0
        for (index, hunk) in hunks.enumerated() {
            let start = max(position, hunk.old.lowerBound - Self.contextLines)
            if start > position { line(" ", nil, gap) }
            context(start..<hunk.old.lowerBound)
            for row in hunk.old { line("-", row, oldLines[row]) }
            for row in hunk.new { line("+", row, newLines[row]) }
            let next = index + 1 < hunks.count ? hunks[index + 1].old.lowerBound : oldLines.count
            position = min(next, hunk.old.upperBound + Self.contextLines)
            context(hunk.old.upperBound..<position)
        }
        if !hunks.isEmpty, position < oldLines.count { line(" ", nil, gap) }
        text = output.joined(separator: "\n")
        firstChangedLine = hunks.first.map { $0.new.lowerBound + 1 }
    }

    private static func hunks(
        _ old: [ArraySlice<UInt8>], _ new: [ArraySlice<UInt8>], _ edits: [(old: Range<Int>, new: Range<Int>)]
    ) -> [Hunk] {
        var hunks: [Hunk] = []
        for edit in edits {
            let hunk = Hunk(old: lines(of: edit.old, in: old), new: lines(of: edit.new, in: new))
            if let last = hunks.last, last.old.upperBound >= hunk.old.lowerBound {
                hunks[hunks.count - 1] = Hunk(
                    old: last.old.lowerBound..<hunk.old.upperBound, new: last.new.lowerBound..<hunk.new.upperBound)
            } else {
                hunks.append(hunk)
            }
        }
        return hunks.map { trimmed($0, old, new) }.filter { !$0.old.isEmpty || !$0.new.isEmpty }
    }

    /// The lines that a range of bytes touches.
    private static func lines(of range: Range<Int>, in lines: [ArraySlice<UInt8>]) -> Range<Int> {
        func index(of offset: Int) -> Int {
            var low = 0
            var high = lines.count - 1
            while low < high {
                let middle = (low + high + 1) / 2
                if lines[middle].startIndex <= offset { low = middle } else { high = middle - 1 }
            }
            return low
        }
        return index(of: range.lowerBound)..<(index(of: range.upperBound) + 1)
    }

    private static func trimmed(_ hunk: Hunk, _ old: [ArraySlice<UInt8>], _ new: [ArraySlice<UInt8>]) -> Hunk {
        var hunk = hunk
        while let first = hunk.old.first, let other = hunk.new.first, old[first] == new[other] {
            hunk = Hunk(old: (first + 1)..<hunk.old.upperBound, new: (other + 1)..<hunk.new.upperBound)
        }
        while let last = hunk.old.last, let other = hunk.new.last, old[last] == new[other] {
            hunk = Hunk(old: hunk.old.lowerBound..<last, new: hunk.new.lowerBound..<other)
        }
        return hunk
    }
}
