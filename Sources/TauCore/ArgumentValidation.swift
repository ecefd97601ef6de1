/// Checks a tool call's arguments against the tool's JSON Schema, and turns values of a near kind into the one asked for.
///
/// Knows `type`, `properties`, `required`, `items`, `enum`, `minimum`, `maximum`, `minLength`, `maxLength`, `minItems`,
/// `maxItems` and `additionalProperties: false`. As in Pi, a number may come as text and the other way round.
public struct ArgumentValidation: Sendable {
    /// What is wrong at one place.
    public struct Problem: Sendable, Equatable {
        /// Keys and indexes from the root, joined by dots; `arguments` for the root itself.
        public var path: String
        public var message: String
    }

    public private(set) var arguments: JSONObject
    public private(set) var problems: [Problem] = []

    public init(_ arguments: JSONObject, against schema: JSONValue) {
        self.arguments = arguments
        let checked = check(.object(arguments), schema, path: "")
        if problems.isEmpty, let object = checked.object { self.arguments = object }
    }

    /// What the model is told: every problem with its place, and what arrived.
    public static func failure(tool: String, problems: [Problem], received: JSONObject) -> ToolFailure {
        let lines = problems.map { "  - \($0.path): \($0.message)" }.joined(separator: "\n")
        return ToolFailure(
            .invalidArguments,
            "Validation failed for tool \"\(tool)\":\n\(lines)\n\nReceived arguments:\n\(JSONValue.object(received).text)"
        )
    }

    private mutating func report(_ path: String, _ message: String) {
        problems.append(Problem(path: path.isEmpty ? "arguments" : path, message: message))
    }

    private mutating func check(_ value: JSONValue, _ schema: JSONValue, path: String) -> JSONValue {
        var value = value
        if let type = schema["type"]?.string {
            guard let coerced = Self.coerced(value, to: type) else {
                report(path, "must be \(Self.article(type))")
                return value
            }
            value = coerced
        }
        if let allowed = schema["enum"]?.array, !allowed.contains(value) {
            report(path, "must be one of \(allowed.map(\.text).joined(separator: ", "))")
        }
        switch value {
        case .object(let object): return checkObject(object, schema, path)
        case .array(let elements): return checkArray(elements, schema, path)
        case .string(let text): checkRange(text.unicodeScalars.count, schema, "Length", "characters long", path)
        case .number: checkNumber(value, schema, path)
        case .null, .bool: break
        }
        return value
    }

    private mutating func checkObject(_ object: JSONObject, _ schema: JSONValue, _ path: String) -> JSONValue {
        var object = object
        let properties = schema["properties"]?.object ?? JSONObject()
        for name in schema["required"]?.array?.compactMap(\.string) ?? [] where object[name] == nil {
            report(Self.join(path, name), "is required")
        }
        for member in object.members {
            if let property = properties[member.key] {
                object.update(member.key, to: check(member.value, property, path: Self.join(path, member.key)))
            } else if schema["additionalProperties"]?.bool == false {
                report(Self.join(path, member.key), "is not a known argument")
            }
        }
        return .object(object)
    }

    private mutating func checkArray(_ elements: [JSONValue], _ schema: JSONValue, _ path: String) -> JSONValue {
        checkRange(elements.count, schema, "Items", "elements long", path)
        guard let items = schema["items"] else { return .array(elements) }
        var checked: [JSONValue] = []
        for (index, element) in elements.enumerated() {
            checked.append(check(element, items, path: Self.join(path, String(index))))
        }
        return .array(checked)
    }

    private mutating func checkRange(
        _ count: Int, _ schema: JSONValue, _ suffix: String, _ unit: String, _ path: String
    ) {
        if let minimum = schema["min\(suffix)"]?.integer, count < minimum {
            report(path, "must be at least \(minimum) \(unit)")
        }
        if let maximum = schema["max\(suffix)"]?.integer, count > maximum {
            report(path, "must be at most \(maximum) \(unit)")
        }
    }

    private mutating func checkNumber(_ value: JSONValue, _ schema: JSONValue, _ path: String) {
        guard let number = value.double else { return report(path, "must be a finite number") }
        if let minimum = schema["minimum"]?.double, number < minimum {
            report(path, "must be at least \(JSONWriter.javaScriptNumber(minimum))")
        }
        if let maximum = schema["maximum"]?.double, number > maximum {
            report(path, "must be at most \(JSONWriter.javaScriptNumber(maximum))")
        }
    }

    private static func join(_ path: String, _ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    private static func article(_ type: String) -> String {
        switch type {
        case "integer": "a whole number"
        case "array", "object": "an \(type)"
        case "null": "null"
        default: "a \(type)"
        }
    }

    /// The value as the type that the schema names, or nil.
    private static func coerced(_ value: JSONValue, to type: String) -> JSONValue? {
        switch (type, value) {
        case ("string", .string), ("boolean", .bool), ("array", .array), ("object", .object), ("null", .null),
            ("number", .number):
            return value
        case ("integer", .number): return value.integer.map { .integer($0) }
        case ("string", .number(let text)): return .string(text)
        case ("string", .bool(let flag)): return .string(flag ? "true" : "false")
        case ("number", .string(let text)):
            return Double(text).flatMap { $0.isFinite ? .double($0) : nil }
        case ("integer", .string(let text)): return Int(text).map { .integer($0) }
        case ("boolean", .string("true")): return true
        case ("boolean", .string("false")): return false
        default: return nil
        }
    }
}
