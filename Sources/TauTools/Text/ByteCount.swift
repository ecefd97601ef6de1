/// Sizes as models and people read them.
enum ByteCount {
    /// Below 1 KiB whole bytes, otherwise KB or MB (powers of 1024) with one decimal.
    static func text(_ count: Int) -> String {
        if count < 1024 { return "\(count)B" }
        if count < 1 << 20 { return decimal(count, unit: 1 << 10) + "KB" }
        return decimal(count, unit: 1 << 20) + "MB"
    }

    private static func decimal(_ count: Int, unit: Int) -> String {
        let (whole, rest) = count.quotientAndRemainder(dividingBy: unit)
        // Halves are rounded up.
        let tenths = whole * 10 + (rest * 10 + unit / 2) / unit
        return "\(tenths / 10).\(tenths % 10)"
    }
}
