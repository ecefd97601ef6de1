/// What an API accepts as the id of a tool call.
struct ToolCallIDRule: Sendable, Hashable {
    var maxLength: Int
    /// Ids of the Responses API are `call|item`; only the first half means something elsewhere.
    var endsAtBar: Bool
    /// Every id has `maxLength` letters and digits.
    var isExact = false

    static let anthropic = ToolCallIDRule(maxLength: 64, endsAtBar: false)
    static let nineCharacters = ToolCallIDRule(maxLength: 9, endsAtBar: true, isExact: true)
    static let chatCompletions = ToolCallIDRule(maxLength: 40, endsAtBar: true)

    func normalized(_ id: String) -> String {
        let bytes = endsAtBar ? Array(id.utf8.prefix { $0 != UInt8(ascii: "|") }) : Array(id.utf8)
        if isExact {
            let text = String(decoding: bytes, as: UTF8.self)
            let isFitting = bytes.count == maxLength && bytes.allSatisfy(Self.isAlphanumeric)
            return isFitting ? text : String((ShortHash.of(text) + "000000000").prefix(maxLength))
        }
        let safe = bytes.prefix(maxLength).map { Self.isAllowed($0) ? $0 : UInt8(ascii: "_") }
        return String(decoding: safe, as: UTF8.self)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}
