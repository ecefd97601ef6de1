internal import TauCore

/// Access to a call's arguments. They were validated against the schema, but a wrong one must never do harm.
extension JSONObject {
    func requiredString(_ name: String) throws(ToolFailure) -> String {
        guard let text = self[name]?.string else {
            throw ToolFailure(.invalidArguments, "The argument '\(name)' must be a string")
        }
        return text
    }

    /// nil where the argument is missing or null.
    func optionalString(_ name: String) throws(ToolFailure) -> String? {
        guard let value = self[name], !value.isNull else { return nil }
        return try requiredString(name)
    }

    /// nil where the argument is missing or null.
    func optionalInteger(_ name: String) throws(ToolFailure) -> Int? {
        guard let value = self[name], !value.isNull else { return nil }
        guard let integer = value.integer else {
            throw ToolFailure(.invalidArguments, "The argument '\(name)' must be a whole number")
        }
        return integer
    }

    func optionalDouble(_ name: String) throws(ToolFailure) -> Double? {
        guard let value = self[name], !value.isNull else { return nil }
        guard let number = value.double else {
            throw ToolFailure(.invalidArguments, "The argument '\(name)' must be a number")
        }
        return number
    }
}

extension JSONValue {
    /// The schema of one argument.
    static func argument(_ type: String, _ description: String) -> JSONValue {
        ["type": .string(type), "description": .string(description)]
    }

    /// The schema of a tool's arguments.
    static func arguments(_ properties: JSONValue, required: [String]) -> JSONValue {
        ["type": "object", "properties": properties, "required": .array(required.map(JSONValue.string))]
    }
}
