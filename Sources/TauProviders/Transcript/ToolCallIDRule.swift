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

    /// Whether the id can stay as it is.
    func accepts(_ id: String) -> Bool { !id.isEmpty && normalized(id).utf8.elementsEqual(id.utf8) }

    func normalized(_ id: String) -> String {
        let bytes = endsAtBar ? Array(id.utf8.prefix { $0 != UInt8(ascii: "|") }) : Array(id.utf8)
        if isExact {
            let isFitting = bytes.count == maxLength && bytes.allSatisfy(Self.isAlphanumeric)
            return isFitting ? String(decoding: bytes, as: UTF8.self) : hashed(id)
        }
        if bytes.isEmpty { return "call" }
        let safe = bytes.prefix(maxLength).map { Self.isAllowed($0) ? $0 : UInt8(ascii: "_") }
        return String(decoding: safe, as: UTF8.self)
    }

    /// An id that says nothing, and is another one for another text.
    func hashed(_ text: String) -> String {
        String((ShortHash.of(text) + String(repeating: "0", count: maxLength)).prefix(maxLength))
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
