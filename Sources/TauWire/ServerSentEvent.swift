/// One event of a `text/event-stream`.
package struct ServerSentEvent: Sendable, Hashable {
    /// What the `event` field says, or `message`.
    package var type: String
    /// The `data` lines, joined by line feeds. Bytes, as most readers hand them to a JSON parser next.
    package var data: [UInt8]
    /// The last `id` that the stream has named so far; empty if there was none.
    package var id: String

    package init(type: String = "message", data: [UInt8], id: String = "") {
        self.type = type
        self.data = data
        self.id = id
    }
}

/// Why a stream of events cannot be read on.
package struct EventStreamError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What went beyond its bound.
    package enum Code: Sendable { case lineTooLong, eventTooLong }

    package var code: Code
    /// The bound in bytes.
    package var limit: Int

    package init(_ code: Code, limit: Int) {
        self.code = code
        self.limit = limit
    }

    package var description: String {
        switch code {
        case .lineTooLong: "a line of the event stream is longer than \(limit) bytes"
        case .eventTooLong: "an event of the stream is longer than \(limit) bytes"
        }
    }
}
