/// Prices as whole numbers: thousandths of a billionth of a dollar for one token. A dollar per million tokens is a million of them.
public struct TokenPrices: Hashable, Sendable {
    public var input: Int
    public var output: Int
    public var cacheRead: Int
    public var cacheWrite: Int

    public init(input: Int, output: Int, cacheRead: Int, cacheWrite: Int) {
        self.input = input
        self.output = output
        self.cacheRead = cacheRead
        self.cacheWrite = cacheWrite
    }

    /// The dearest that a token of a prompt can be.
    private var prompt: Int { max(input, cacheRead, cacheWrite) }

    /// Billionths of a dollar that a call may cost at the most, rounded up.
    func bound(promptTokens: Int, answerTokens: Int) -> Int {
        Self.nanoDollars([(promptTokens, prompt), (answerTokens, output)])
    }

    /// Tokens of an answer that such a sum suffices for; less than none where the prompt alone is dearer.
    func answerTokens(for nanoDollars: Int, promptTokens: Int) -> Int {
        let left = nanoDollars - Self.nanoDollars([(promptTokens, prompt)])
        guard left >= 0 else { return -1 }
        guard output > 0 else { return .max }
        let (scaled, overflows) = left.multipliedReportingOverflow(by: 1000)
        // Rounded down once more, because the parts are rounded up together.
        return overflows ? .max : max(0, scaled / output - 1)
    }

    /// Billionths of a dollar of a call, rounded up. Sums beyond what can be counted are the largest that can.
    static func nanoDollars(_ parts: [(tokens: Int, price: Int)]) -> Int {
        var sum = 0
        for part in parts {
            let (product, overflows) = part.tokens.multipliedReportingOverflow(by: part.price)
            let (total, carries) = sum.addingReportingOverflow(product)
            // Far from the edge, so that adding a few of them is no overflow either.
            guard !overflows, !carries, total < Int.max / 4 else { return Int.max / 4000 }
            sum = total
        }
        return (sum + 999) / 1000
    }
}

extension Prices {
    /// The prices of a call whose prompt has so many tokens, as whole numbers.
    public func tokenPrices(forPromptOf tokens: Int) -> TokenPrices {
        let prices = prices(forPromptOf: tokens)
        func whole(_ price: Double) -> Int { Int(min(max((price * 1e6).rounded(), 0), 1e15)) }
        return TokenPrices(
            input: whole(prices.input), output: whole(prices.output), cacheRead: whole(prices.cacheRead),
            cacheWrite: whole(prices.cacheWrite))
    }

    /// Billionths of a dollar, rounded up.
    public func nanoDollars(of usage: Usage) -> Int {
        let prices = tokenPrices(forPromptOf: usage.input + usage.cacheRead + usage.cacheWrite)
        return TokenPrices.nanoDollars([
            (usage.input, prices.input), (usage.output, prices.output), (usage.cacheRead, prices.cacheRead),
            (usage.cacheWrite, prices.cacheWrite),
        ])
    }
}
