extension Usage {
    /// Reads a stored usage object off its text, as `init(json:)` does off its value but without making one: every answer of a session
    /// is asked for its usage when the session is opened. Nil for what is no object.
    init?(scanning text: ArraySlice<UInt8>) {
        let usage = text.withUnsafeBufferPointer { buffer in
            var scanner = JSONScanner(buffer)
            return try? scanner.usage()
        }
        guard let usage else { return nil }
        self = usage
    }
}

extension JSONScanner {
    fileprivate mutating func usage() throws(JSONError) -> Usage {
        skipWhitespace()
        var usage = Usage()
        var total: Int?
        try object(depth: 0) { (scanner, key) throws(JSONError) in
            if scanner.equals(key, "input") {
                usage.input = try scanner.tokens() ?? 0
            } else if scanner.equals(key, "output") {
                usage.output = try scanner.tokens() ?? 0
            } else if scanner.equals(key, "cacheRead") {
                usage.cacheRead = try scanner.tokens() ?? 0
            } else if scanner.equals(key, "cacheWrite") {
                usage.cacheWrite = try scanner.tokens() ?? 0
            } else if scanner.equals(key, "totalTokens") {
                total = try scanner.tokens()
            } else if scanner.equals(key, "cost") {
                usage.cost = try scanner.cost()
            } else {
                try scanner.skipValue(depth: 1)
            }
        }
        skipWhitespace()
        try expectEnd()
        usage.totalTokens = total ?? usage.input + usage.output + usage.cacheRead + usage.cacheWrite
        return usage
    }

    /// Nil for null; nothing for what is no object.
    private mutating func cost() throws(JSONError) -> Cost? {
        guard peek() == UInt8(ascii: "{") else {
            let isNull = peek() == UInt8(ascii: "n")
            try skipValue(depth: 1)
            return isNull ? nil : Cost()
        }
        var cost = Cost()
        try object(depth: 1) { (scanner, key) throws(JSONError) in
            if scanner.equals(key, "input") {
                cost.input = try scanner.dollars()
            } else if scanner.equals(key, "output") {
                cost.output = try scanner.dollars()
            } else if scanner.equals(key, "cacheRead") {
                cost.cacheRead = try scanner.dollars()
            } else if scanner.equals(key, "cacheWrite") {
                cost.cacheWrite = try scanner.dollars()
            } else {
                try scanner.skipValue(depth: 2)
            }
        }
        return cost
    }

    /// Nil for what is no whole number.
    private mutating func tokens() throws(JSONError) -> Int? {
        guard let range = try numberOrSkip() else { return nil }
        // Most are a few digits.
        if range.count <= 9, base[range].allSatisfy({ $0 &- UInt8(ascii: "0") < 10 }) {
            return base[range].reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
        }
        let value = JSONValue.number(String(decoding: base[range], as: UTF8.self))
        return value.integer.map { min(max($0, 0), Usage.maxStoredTokens) }
    }

    private mutating func dollars() throws(JSONError) -> Double {
        guard let range = try numberOrSkip() else { return 0 }
        if range.count == 1, base[range.lowerBound] == UInt8(ascii: "0") { return 0 }
        return JSONValue.number(String(decoding: base[range], as: UTF8.self)).double ?? 0
    }

    private mutating func numberOrSkip() throws(JSONError) -> Range<Int>? {
        guard let byte = peek(), byte == UInt8(ascii: "-") || byte &- UInt8(ascii: "0") < 10 else {
            try skipValue(depth: 2)
            return nil
        }
        return try number()
    }
}
