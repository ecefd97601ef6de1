/// How a text's lines end.
enum LineEnding: Sendable, Hashable {
    case lineFeed, carriageReturnLineFeed

    /// Whichever comes first; a line feed where there is none.
    init(detectingIn bytes: some Collection<UInt8>) {
        var previous: UInt8 = 0
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                self = previous == UInt8(ascii: "\r") ? .carriageReturnLineFeed : .lineFeed
                return
            }
            previous = byte
        }
        self = .lineFeed
    }

    /// The bytes with this ending at every line feed; the input must have no other ending.
    func applied(to bytes: [UInt8]) -> [UInt8] {
        guard self == .carriageReturnLineFeed else { return bytes }
        return bytes.flatMap { $0 == UInt8(ascii: "\n") ? [UInt8(ascii: "\r"), $0] : [$0] }
    }
}
