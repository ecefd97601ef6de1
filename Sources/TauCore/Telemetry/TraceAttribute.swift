package import Tracing

/// One thing that a span tells of what it spans.
package struct TraceAttribute: Sendable {
    package enum Value: Sendable {
        /// Chosen by Tau or its configuration, or counted by it: an id, a name, a status. It holds no secret.
        case name(String)
        case names([String])
        /// Anything else, which may hold what must not be told.
        case text(String)
        case integer(Int)
    }

    package let name: String
    package let value: Value

    package static func name(_ name: String, _ value: String) -> TraceAttribute {
        TraceAttribute(name: name, value: .name(value))
    }

    package static func names(_ name: String, _ values: [String]) -> TraceAttribute {
        TraceAttribute(name: name, value: .names(values))
    }

    package static func text(_ name: String, _ value: String) -> TraceAttribute {
        TraceAttribute(name: name, value: .text(value))
    }

    package static func integer(_ name: String, _ value: Int) -> TraceAttribute {
        TraceAttribute(name: name, value: .integer(value))
    }
}

/// A span that keeps attributes as they come. A dictionary of them costs as much as all the rest of the span.
package protocol AttributeKeeping: Span {
    /// Each name comes once.
    func keep(_ attributes: [TraceAttribute])
}

extension Span {
    /// Tells of what is spanned, each name once.
    package func add(_ attributes: [TraceAttribute]) {
        if let span = self as? any AttributeKeeping { return span.keep(attributes) }
        self.attributes.add(attributes)
    }
}

extension SpanAttributes {
    package mutating func add(_ attributes: [TraceAttribute]) {
        for attribute in attributes {
            switch attribute.value {
            case .name(let text), .text(let text): self[attribute.name] = text
            case .names(let texts): self[attribute.name] = texts
            case .integer(let number): self[attribute.name] = number
            }
        }
    }
}
