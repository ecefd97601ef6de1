/// A short name for a long text, the same as Pi's: 64 bits of hash in base 36. Not for secrets.
enum ShortHash {
    static func of(_ text: String) -> String {
        var first: UInt32 = 0xDEAD_BEEF
        var second: UInt32 = 0x41C6_CE57
        for unit in text.utf16 {
            first = (first ^ UInt32(unit)) &* 2_654_435_761
            second = (second ^ UInt32(unit)) &* 1_597_334_677
        }
        first = ((first ^ first >> 16) &* 2_246_822_507) ^ ((second ^ second >> 13) &* 3_266_489_909)
        second = ((second ^ second >> 16) &* 2_246_822_507) ^ ((first ^ first >> 13) &* 3_266_489_909)
        return String(second, radix: 36) + String(first, radix: 36)
    }
}
