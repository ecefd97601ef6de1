/// Tokens of one or more model calls, and what they cost in US dollars.
///
/// `input` does not count cached tokens; `output` includes reasoning.
public struct Usage: Hashable, Sendable {
    public var input = 0
    public var output = 0
    public var cacheRead = 0
    public var cacheWrite = 0
    /// What the provider counted, or the sum of the four parts.
    public var totalTokens = 0
    /// Nil where no price is known: unknown is never guessed.
    public var cost: Cost? = Cost()

    public init() {}

    public init(input: Int, output: Int, cacheRead: Int = 0, cacheWrite: Int = 0, cost: Cost? = Cost()) {
        self.input = input
        self.output = output
        self.cacheRead = cacheRead
        self.cacheWrite = cacheWrite
        self.cost = cost
        totalTokens = input + output + cacheRead + cacheWrite
    }

    /// The sum; a cost that is unknown on either side makes the sum unknown.
    public static func += (left: inout Usage, right: Usage) {
        left.input += right.input
        left.output += right.output
        left.cacheRead += right.cacheRead
        left.cacheWrite += right.cacheWrite
        left.totalTokens += right.totalTokens
        if let cost = right.cost { left.cost?.add(cost) } else { left.cost = nil }
    }
}

/// US dollars by kind of token.
public struct Cost: Hashable, Sendable {
    public var input = 0.0
    public var output = 0.0
    public var cacheRead = 0.0
    public var cacheWrite = 0.0

    public init() {}

    public var total: Double { input + output + cacheRead + cacheWrite }

    mutating func add(_ other: Cost) {
        input += other.input
        output += other.output
        cacheRead += other.cacheRead
        cacheWrite += other.cacheWrite
    }
}

extension Usage {
    /// A file may claim any number; sums of this many tokens over a billion entries do not overflow.
    static let maxStoredTokens = 1_000_000_000

    /// Reads a stored usage object; parts that are missing count as zero, and old files have no `totalTokens`.
    public init(json: JSONValue?) {
        func tokens(_ name: String) -> Int? {
            json?[name]?.integer.map { min(max($0, 0), Self.maxStoredTokens) }
        }
        self.init(
            input: tokens("input") ?? 0, output: tokens("output") ?? 0, cacheRead: tokens("cacheRead") ?? 0,
            cacheWrite: tokens("cacheWrite") ?? 0)
        if let total = tokens("totalTokens") { totalTokens = total }
        if let stored = json?["cost"] {
            if stored.isNull {
                cost = nil
            } else {
                cost?.input = stored["input"]?.double ?? 0
                cost?.output = stored["output"]?.double ?? 0
                cost?.cacheRead = stored["cacheRead"]?.double ?? 0
                cost?.cacheWrite = stored["cacheWrite"]?.double ?? 0
            }
        }
    }

    public func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("input", input)
            writer.member("output", output)
            writer.member("cacheRead", cacheRead)
            writer.member("cacheWrite", cacheWrite)
            writer.member("totalTokens", totalTokens)
            writer.key("cost")
            guard let cost else { return writer.null() }
            writer.object { writer in
                for (name, value) in [
                    ("input", cost.input), ("output", cost.output), ("cacheRead", cost.cacheRead),
                    ("cacheWrite", cost.cacheWrite), ("total", cost.total),
                ] {
                    writer.key(name)
                    writer.double(value)
                }
            }
        }
    }
}
