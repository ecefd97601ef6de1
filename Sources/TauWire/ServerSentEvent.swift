/// One event of a `text/event-stream`.
public struct ServerSentEvent: Sendable, Hashable {
    /// What the `event` field says, or `message`.
    public var type: String
    /// The `data` lines, joined by line feeds. Bytes, as most readers hand them to a JSON parser next.
    public var data: [UInt8]
    /// The last `id` that the stream has named so far; empty if there was none.
    public var id: String

    public init(type: String = "message", data: [UInt8], id: String = "") {
        self.type = type
        self.data = data
        self.id = id
    }
}

/// Why a stream of events cannot be read on.
public struct EventStreamError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What went beyond its bound.
    public enum Code: Sendable { case lineTooLong, eventTooLong }

    public var code: Code
    /// The bound in bytes.
    public var limit: Int

    public init(_ code: Code, limit: Int) {
        self.code = code
        self.limit = limit
    }

    public var description: String {
        switch code {
        case .lineTooLong: "a line of the event stream is longer than \(limit) bytes"
        case .eventTooLong: "an event of the stream is longer than \(limit) bytes"
        }
    }
}
