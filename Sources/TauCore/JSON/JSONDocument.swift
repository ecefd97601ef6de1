/// A JSON text whose values are looked up where they stand: made to read a few fields of many small texts.
///
/// It keeps its memory from one text to the next. Nothing is copied: values are read through `JSONView` while the text is there.
package final class JSONDocument {
    /// One value: where it stands, and where its key does.
    struct Node {
        enum Kind: UInt8 { case null, bool, number, string, array, object }

        var kind: Kind
        var hasEscapes = false
        var keyHasEscapes = false
        var keyStart: Int32 = 0
        var keyEnd: Int32 = 0
        /// Without a string's quotes.
        var start: Int32
        var end: Int32
        /// The node behind this one and all that is in it.
        var next: Int32 = 0
    }

    private var nodes: [Node] = []
    private let limits: JSONLimits

    package init(limits: JSONLimits = .lenient) {
        self.limits = limits
        nodes.reserveCapacity(64)
    }

    /// Reads a text; nothing may follow the value but white space. The view is for the time of `body`.
    package func read<Value>(
        _ text: UnsafeBufferPointer<UInt8>, _ body: (JSONView) -> Value
    ) throws(JSONError) -> Value {
        guard text.count < Int32.max else { throw JSONError(offset: 0, reason: "the text is too long") }
        nodes.removeAll(keepingCapacity: true)
        var scanner = JSONScanner(text, limits: limits)
        scanner.skipWhitespace()
        try scanner.tape(into: &nodes, depth: 0)
        try scanner.expectEnd()
        return nodes.withUnsafeBufferPointer { body(JSONView(bytes: text, nodes: $0, index: 0)) }
    }
}

extension JSONScanner {
    /// Appends the value that comes next, and all that is in it, as nodes.
    fileprivate mutating func tape(into nodes: inout [JSONDocument.Node], depth: Int) throws(JSONError) {
        let place = nodes.count
        guard let byte = peek() else { throw failure("a value is missing") }
        switch byte {
        case UInt8(ascii: "\""):
            let span = try string()
            nodes.append(
                .init(kind: .string, hasEscapes: span.hasEscapes, start: Int32(span.start), end: Int32(span.end)))
        case UInt8(ascii: "{"):
            nodes.append(.init(kind: .object, start: Int32(position), end: 0))
            try object(depth: depth) { (scanner, key) throws(JSONError) in
                let member = nodes.count
                try scanner.tape(into: &nodes, depth: depth + 1)
                nodes[member].keyStart = Int32(key.start)
                nodes[member].keyEnd = Int32(key.end)
                nodes[member].keyHasEscapes = key.hasEscapes
            }
            nodes[place].end = Int32(position)
        case UInt8(ascii: "["):
            nodes.append(.init(kind: .array, start: Int32(position), end: 0))
            try array(depth: depth) { (scanner) throws(JSONError) in
                try scanner.tape(into: &nodes, depth: depth + 1)
            }
            nodes[place].end = Int32(position)
        case UInt8(ascii: "t"), UInt8(ascii: "f"):
            let start = position
            try literal(byte == UInt8(ascii: "t") ? "true" : "false")
            nodes.append(.init(kind: .bool, start: Int32(start), end: Int32(position)))
        case UInt8(ascii: "n"):
            let start = position
            try literal("null")
            nodes.append(.init(kind: .null, start: Int32(start), end: Int32(position)))
        default:
            let range = try number()
            nodes.append(.init(kind: .number, start: Int32(range.lowerBound), end: Int32(range.upperBound)))
        }
        nodes[place].next = Int32(nodes.count)
    }
}

/// One value of a `JSONDocument`, to be used only during the call that gives it: it refers to the text, and keeps nothing alive.
package struct JSONView {
    fileprivate let bytes: UnsafeBufferPointer<UInt8>
    fileprivate let nodes: UnsafeBufferPointer<JSONDocument.Node>
    fileprivate let index: Int

    private var node: JSONDocument.Node { nodes[index] }

    private func view(_ index: Int) -> JSONView { JSONView(bytes: bytes, nodes: nodes, index: index) }

    private func text(_ start: Int32, _ end: Int32, _ hasEscapes: Bool) -> String {
        JSONScanner(bytes).text(.init(start: Int(start), end: Int(end), hasEscapes: hasEscapes))
    }

    /// A member of an object; where a key occurs twice the last one counts, as in JavaScript.
    package subscript(key: StaticString) -> JSONView? {
        guard node.kind == .object else { return nil }
        let end = Int(node.next)
        var found: Int?
        var place = index + 1
        while place < end {
            if hasKey(nodes[place], key) { found = place }
            place = Int(nodes[place].next)
        }
        return found.map(view)
    }

    @inline(__always)
    private func hasKey(_ node: JSONDocument.Node, _ key: StaticString) -> Bool {
        guard !node.keyHasEscapes else {
            return text(node.keyStart, node.keyEnd, true).utf8.elementsEqual(
                UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount))
        }
        return hasBytes(node.keyStart, node.keyEnd, key)
    }

    @inline(__always)
    private func hasBytes(_ start: Int32, _ end: Int32, _ text: StaticString) -> Bool {
        guard Int(end - start) == text.utf8CodeUnitCount else { return false }
        for offset in 0..<text.utf8CodeUnitCount where bytes[Int(start) + offset] != text.utf8Start[offset] {
            return false
        }
        return true
    }

    package var isNull: Bool { node.kind == .null }
    package var isObject: Bool { node.kind == .object }

    /// The text of a string.
    package var string: String? {
        let node = node
        return node.kind == .string ? text(node.start, node.end, node.hasEscapes) : nil
    }

    /// The text of a string, if it has any character.
    package var nonEmptyString: String? {
        let node = node
        return node.kind == .string && node.end > node.start ? text(node.start, node.end, node.hasEscapes) : nil
    }

    /// Whether this is the given string; without making one.
    package func equals(_ text: StaticString) -> Bool {
        let node = node
        return node.kind == .string && !node.hasEscapes && hasBytes(node.start, node.end, text)
    }

    package var double: Double? {
        let node = node
        return node.kind == .number ? Double(text(node.start, node.end, false)) : nil
    }

    package var integer: Int? {
        let node = node
        guard node.kind == .number else { return nil }
        // Almost all are short and plain.
        guard node.end - node.start <= 18 else { return value.integer }
        var number = 0
        for place in Int(node.start)..<Int(node.end) {
            let digit = bytes[place] &- UInt8(ascii: "0")
            guard digit <= 9 else { return value.integer }
            number = number * 10 + Int(digit)
        }
        return number
    }

    /// The elements of an array.
    package var elements: [JSONView] {
        let node = node
        guard node.kind == .array else { return [] }
        var elements: [JSONView] = []
        var place = index + 1
        while place < Int(node.next) {
            elements.append(view(place))
            place = Int(nodes[place].next)
        }
        return elements
    }

    /// The first element of an array.
    package var first: JSONView? {
        let node = node
        return node.kind == .array && Int(node.next) > index + 1 ? view(index + 1) : nil
    }

    /// The whole value, to be kept.
    package var value: JSONValue {
        let node = node
        // A string's quotes stand around it.
        let extra: Int32 = node.kind == .string ? 1 : 0
        guard let value = try? JSONValue(parsing: bytes[Int(node.start - extra)..<Int(node.end + extra)]) else {
            preconditionFailure("Invariant: what was read once can be read again")
        }
        return value
    }
}
