extension JSONValue {
    /// Equality as JSON Schema has it: numbers by value, texts by code points, objects without regard to order.
    func isSame(as other: JSONValue) -> Bool {
        switch (self, other) {
        case (.null, .null): true
        case (.bool(let first), .bool(let second)): first == second
        case (.string(let first), .string(let second)): first.utf8.elementsEqual(second.utf8)
        case (.number(let first), .number(let second)):
            first == second || (integer.map { $0 == other.integer } ?? (double == other.double))
        case (.array(let first), .array(let second)):
            first.count == second.count && zip(first, second).allSatisfy { $0.isSame(as: $1) }
        case (.object(let first), .object(let second)):
            first.members.count == second.members.count
                && first.members.allSatisfy { member in second[member.key]?.isSame(as: member.value) == true }
        default: false
        }
    }

    /// The same for all values that are the same.
    var canonical: JSONValue {
        switch self {
        case .null, .bool, .string: self
        case .number: integer.map { .integer($0) } ?? double.map { .double($0) } ?? self
        case .array(let elements): .array(elements.map(\.canonical))
        case .object(let object):
            .object(
                JSONObject(
                    members: object.members
                        .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
                        .map { .init(key: $0.key, value: $0.value.canonical) }))
        }
    }

    /// The value as one of the types, or nil.
    ///
    /// A value of near kind is turned as the library AJV does it with `coerceTypes` (https://ajv.js.org/coercion.html),
    /// which Pi uses: models often send numbers as text, and the other way round.
    func typed(_ types: [SchemaType], coerces: Bool) -> JSONValue? {
        for type in types { if let value = exact(type) { return value } }
        guard coerces else { return nil }
        for type in types { if let value = coerced(to: type) { return value } }
        return nil
    }

    private func exact(_ type: SchemaType) -> JSONValue? {
        switch (type, self) {
        case (.string, .string), (.boolean, .bool), (.array, .array), (.object, .object), (.null, .null),
            (.number, .number):
            self
        case (.integer, .number): integer.map { .integer($0) }
        default: nil
        }
    }

    private func coerced(to type: SchemaType) -> JSONValue? {
        switch (type, self) {
        case (.string, .number(let text)): .string(text)
        case (.string, .bool(let flag)): .string(flag ? "true" : "false")
        case (.string, .null): ""
        case (.number, .string(let text)): Self.number(text)
        case (.number, .bool(let flag)), (.integer, .bool(let flag)): .integer(flag ? 1 : 0)
        case (.number, .null), (.integer, .null): 0
        case (.integer, .string(let text)): Self.number(text)?.integer.map { .integer($0) }
        case (.boolean, .string("true")): true
        case (.boolean, .string("false")), (.boolean, .null): false
        case (.boolean, .number): integer == 1 ? true : integer == 0 ? false : nil
        case (.null, .string("")), (.null, .bool(false)): .null
        case (.null, .number): integer == 0 ? .null : nil
        default: nil
        }
    }

    /// A number that came as text.
    private static func number(_ text: String) -> JSONValue? {
        guard text.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }) else { return nil }
        if let integer = Int(text) { return .integer(integer) }
        return Double(text).flatMap { $0.isFinite ? .double($0) : nil }
    }
}
