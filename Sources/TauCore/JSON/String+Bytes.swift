extension String {
    /// Whether both have the same UTF-8: Swift's own `==` also calls different spellings of a character equal.
    package func hasSameBytes(as other: String) -> Bool {
        // The length first: it differs most of the time.
        utf8.count == other.utf8.count && self == other && (isASCII(other) || utf8.elementsEqual(other.utf8))
    }

    @inline(__always)
    private func isASCII(_ text: String) -> Bool { text.utf8.allSatisfy { $0 < 0x80 } }
}
