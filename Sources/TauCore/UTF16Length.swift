extension String {
    /// The same as `utf16.count`, which makes marks on its way for those who ask for places of the text.
    package var utf16Length: Int {
        var text = self
        return text.withUTF8 { bytes in
            // Every byte that begins a character, and once more for those of four bytes, which are pairs.
            bytes.reduce(0) { $0 + ($1 & 0xC0 != 0x80 ? 1 : 0) + ($1 >= 0xF0 ? 1 : 0) }
        }
    }
}
