/// What an API accepts as the id of a tool call.
struct ToolCallIDRule: Sendable, Hashable {
    var maxLength: Int
    /// Ids of the Responses API are `call|item`; only the first half means something elsewhere.
    var endsAtBar: Bool

    static let anthropic = ToolCallIDRule(maxLength: 64, endsAtBar: false)
    static let chatCompletions = ToolCallIDRule(maxLength: 40, endsAtBar: true)

    func normalized(_ id: String) -> String {
        let bytes = endsAtBar ? Array(id.utf8.prefix { $0 != UInt8(ascii: "|") }) : Array(id.utf8)
        let safe = bytes.prefix(maxLength).map { Self.isAllowed($0) ? $0 : UInt8(ascii: "_") }
        return String(decoding: safe, as: UTF8.self)
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}
