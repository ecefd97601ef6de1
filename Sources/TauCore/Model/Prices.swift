/// US dollars per million tokens.
public struct Prices: Hashable, Sendable {
    /// Other prices for calls with a long prompt; they are for all of the call's tokens.
    public struct Tier: Hashable, Sendable {
        /// The tier is for prompts of more tokens than this, cached ones counted.
        public var inputTokensAbove: Int
        /// Its own tiers count for nothing.
        public var prices: Prices

        public init(inputTokensAbove: Int, prices: Prices) {
            self.inputTokensAbove = inputTokensAbove
            self.prices = prices
        }
    }

    public var input: Double
    public var output: Double
    public var cacheRead: Double
    public var cacheWrite: Double
    /// In any order.
    public var tiers: [Tier]

    public init(
        input: Double, output: Double, cacheRead: Double = 0, cacheWrite: Double = 0, tiers: [Tier] = []
    ) {
        self.input = input
        self.output = output
        self.cacheRead = cacheRead
        self.cacheWrite = cacheWrite
        self.tiers = tiers
    }

    public static let free = Prices(input: 0, output: 0)

    public func cost(of usage: Usage) -> Cost {
        let prices = prices(forPromptOf: usage.input + usage.cacheRead + usage.cacheWrite)
        var cost = Cost()
        cost.input = prices.input / 1e6 * Double(usage.input)
        cost.output = prices.output / 1e6 * Double(usage.output)
        cost.cacheRead = prices.cacheRead / 1e6 * Double(usage.cacheRead)
        cost.cacheWrite = prices.cacheWrite / 1e6 * Double(usage.cacheWrite)
        return cost
    }

    /// The prices of a call whose prompt has so many tokens.
    public func prices(forPromptOf tokens: Int) -> Prices {
        let reached = tiers.filter { $0.inputTokensAbove < tokens }
        return reached.max { $0.inputTokensAbove < $1.inputTokensAbove }?.prices ?? self
    }

    /// Tokens that an answer may have so that its call costs at most so many dollars, whatever of the prompt is cached;
    /// negative where the prompt alone may cost more, nil where answers cost nothing.
    public func answerTokens(for dollars: Double, promptTokens: Int) -> Int? {
        let prices = prices(forPromptOf: promptTokens)
        let left = dollars - max(prices.input, prices.cacheRead, prices.cacheWrite) / 1e6 * Double(promptTokens)
        guard left >= 0 else { return -1 }
        guard prices.output > 0 else { return nil }
        return Int(min(left / (prices.output / 1e6), 1e12))
    }
}
