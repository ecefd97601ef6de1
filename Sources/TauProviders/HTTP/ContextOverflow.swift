/// Recognises the words in which servers say that a prompt is too long for the model.
enum ContextOverflow {
    /// Parts that follow each other somewhere in the lower-case message; `#` is a digit, and `_` counts as a space.
    private static let patterns: [[String]] = [
        ["prompt is too long"], ["input is too long for requested model"], ["exceeds the context window"],
        ["input token count", "exceeds the maximum"], ["maximum prompt length is #"],
        ["reduce the length of the messages"], ["maximum context length is #", "tokens"], ["exceeds the limit of #"],
        ["exceeds the available context size"], ["greater than the context length"],
        ["context window exceeds limit"], ["exceeded model token limit"],
        ["too large for model with #", "maximum context length"], ["model context window exceeded"],
        ["context length exceeded"], ["too many tokens"], ["token limit exceeded"], ["exceed context size error"],
    ]

    static func matches(_ message: String) -> Bool {
        let text = Array(message.lowercased().utf8.prefix(10_000)).map { $0 == UInt8(ascii: "_") ? 0x20 : $0 }
        return patterns.contains { parts in
            var position = 0
            return parts.allSatisfy { part in
                guard let end = end(of: Array(part.utf8), in: text, from: position) else { return false }
                position = end
                return true
            }
        }
    }

    private static func end(of part: [UInt8], in text: [UInt8], from start: Int) -> Int? {
        guard start + part.count <= text.count else { return nil }
        for offset in start...(text.count - part.count) {
            let isMatch = part.indices.allSatisfy { index in
                let byte = text[offset + index]
                return part[index] == UInt8(ascii: "#") ? byte &- UInt8(ascii: "0") < 10 : part[index] == byte
            }
            if isMatch { return offset + part.count }
        }
        return nil
    }
}
