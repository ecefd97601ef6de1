/// Reads a JSON Schema into nodes.
struct SchemaReader {
    let document: JSONValue
    let patterns: ArgumentSchema.PatternCompiler?
    private(set) var nodes: [SchemaNode] = []
    /// By the pointer to the schema, so that each is read once however often it is referred to.
    private var known: [String: Int] = [:]

    /// Schemas of one tool.
    private static let maxNodes = 10_000

    init(document: JSONValue, patterns: ArgumentSchema.PatternCompiler?) {
        self.document = document
        self.patterns = patterns
    }

    /// Answers the number of the schema at that place.
    mutating func read(_ schema: JSONValue, at place: String) throws(ToolFailure) -> Int {
        if let number = known[place] { return number }
        guard nodes.count < Self.maxNodes else { throw Self.failure(place, "the schema has too many parts") }
        let number = nodes.count
        known[place] = number
        nodes.append(SchemaNode())
        nodes[number] = try node(schema, place)
        return number
    }

    private mutating func node(_ schema: JSONValue, _ place: String) throws(ToolFailure) -> SchemaNode {
        var node = SchemaNode()
        if let flag = schema.bool {
            node.isNever = !flag
            return node
        }
        guard let object = schema.object else { throw Self.failure(place, "a schema is an object, true or false") }
        for member in object.members {
            let place = "\(place)/\(Self.escaped(member.key))"
            if try readPlain(member, place, into: &node) { continue }
            if try readNested(member, place, into: &node) { continue }
            guard Self.isAnnotation(member.key, place) else {
                throw Self.failure(place, "Tau does not know this keyword")
            }
        }
        return node
    }

    private static func isAnnotation(_ key: String, _ place: String) -> Bool {
        switch key {
        case "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "format",
            "contentEncoding", "contentMediaType", "$comment", "$schema":
            true
        // Elsewhere it would change what references mean.
        case "$id": place == "#/$id"
        default: false
        }
    }

    // MARK: Keywords without schemas

    private func readPlain(
        _ member: JSONObject.Member, _ place: String, into node: inout SchemaNode
    ) throws(ToolFailure) -> Bool {
        let value = member.value
        switch member.key {
        case "type": node.types = try types(value, place)
        case "enum": node.allowed = try array(value, place)
        case "const": node.constant = value
        case "minimum": node.minimum = try number(value, place)
        case "maximum": node.maximum = try number(value, place)
        case "exclusiveMinimum": node.exclusiveMinimum = try number(value, place)
        case "exclusiveMaximum": node.exclusiveMaximum = try number(value, place)
        case "multipleOf":
            node.multipleOf = try number(value, place)
            if node.multipleOf ?? 0 <= 0 { throw Self.failure(place, "must be more than 0") }
        case "minLength": node.length.minimum = try count(value, place)
        case "maxLength": node.length.maximum = try count(value, place)
        case "pattern": node.pattern = try pattern(try text(value, place), place)
        case "minItems": node.itemCount.minimum = try count(value, place)
        case "maxItems": node.itemCount.maximum = try count(value, place)
        case "minContains": node.containsCount.minimum = try count(value, place)
        case "maxContains": node.containsCount.maximum = try count(value, place)
        case "uniqueItems": node.itemsAreUnique = try flag(value, place)
        case "required": node.required = try texts(value, place)
        case "minProperties": node.propertyCount.minimum = try count(value, place)
        case "maxProperties": node.propertyCount.maximum = try count(value, place)
        case "dependentRequired":
            for member in try object(value, place).members {
                node.dependentRequired.append((member.key, try texts(member.value, "\(place)/\(member.key)")))
            }
        default: return false
        }
        return true
    }

    private func types(_ value: JSONValue, _ place: String) throws(ToolFailure) -> [SchemaType] {
        var types: [SchemaType] = []
        for name in value.array ?? [value] {
            guard let type = name.string.flatMap(SchemaType.init) else {
                throw Self.failure(place, "there is no type \(name.text)")
            }
            types.append(type)
        }
        return types
    }

    private func pattern(_ text: String, _ place: String) throws(ToolFailure) -> SchemaNode.Pattern {
        guard let patterns else { throw Self.failure(place, "patterns are not supported here") }
        do throws(ToolFailure) {
            return SchemaNode.Pattern(text: text, matches: try patterns(text))
        } catch {
            throw Self.failure(place, error.message)
        }
    }

    // MARK: Keywords with schemas

    private mutating func readNested(
        _ member: JSONObject.Member, _ place: String, into node: inout SchemaNode
    ) throws(ToolFailure) -> Bool {
        let value = member.value
        switch member.key {
        case "$ref": node.reference = try reference(try text(value, place), place)
        // Read when they are referred to, but checked in any case.
        case "$defs", "definitions": _ = try schemas(value, place)
        case "items": node.items = try read(value, at: place)
        case "prefixItems": node.prefixItems = try list(value, place)
        case "contains": node.contains = try read(value, at: place)
        case "properties": node.properties = try schemas(value, place)
        case "patternProperties":
            for (name, schema) in try schemas(value, place) {
                node.patternProperties.append((try pattern(name, place), schema))
            }
        case "additionalProperties": node.additionalProperties = try read(value, at: place)
        case "propertyNames": node.propertyNames = try read(value, at: place)
        case "dependentSchemas": node.dependentSchemas = try schemas(value, place)
        case "allOf": node.allOf = try list(value, place)
        case "anyOf": node.anyOf = try list(value, place)
        case "oneOf": node.oneOf = try list(value, place)
        case "not": node.not = try read(value, at: place)
        case "if": node.condition = try read(value, at: place)
        case "then": node.consequence = try read(value, at: place)
        case "else": node.alternative = try read(value, at: place)
        default: return false
        }
        return true
    }

    private mutating func list(_ value: JSONValue, _ place: String) throws(ToolFailure) -> [Int] {
        var numbers: [Int] = []
        for (index, schema) in try array(value, place).enumerated() {
            numbers.append(try read(schema, at: "\(place)/\(index)"))
        }
        return numbers
    }

    private mutating func schemas(
        _ value: JSONValue, _ place: String
    ) throws(ToolFailure) -> [(name: String, schema: Int)] {
        var schemas: [(name: String, schema: Int)] = []
        for member in try object(value, place).members {
            schemas.append((member.key, try read(member.value, at: "\(place)/\(Self.escaped(member.key))")))
        }
        return schemas
    }

    /// A JSON Pointer (RFC 6901) into this document, as a URI fragment.
    private mutating func reference(_ text: String, _ place: String) throws(ToolFailure) -> Int {
        guard text == "#" || text.hasPrefix("#/") else {
            throw Self.failure(place, "only references within the schema are followed, such as #/$defs/name")
        }
        var target = document
        var path = "#"
        for part in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
            let name = Self.unescaped(part)
            path += "/\(Self.escaped(name))"
            guard let next = target[name] ?? Int(name).flatMap({ index in target.array.flatMap { $0.element(index) } })
            else { throw Self.failure(place, "\(text) leads to nothing") }
            target = next
        }
        return try read(target, at: path)
    }

    // MARK: Values

    private static func escaped(_ name: String) -> String {
        var escaped = ""
        for scalar in name.unicodeScalars {
            switch scalar {
            case "~": escaped += "~0"
            case "/": escaped += "~1"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    private static func unescaped(_ part: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(part.utf8)[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "~") where rest.first == UInt8(ascii: "0") || rest.first == UInt8(ascii: "1"):
                bytes.append(rest.removeFirst() == UInt8(ascii: "0") ? UInt8(ascii: "~") : UInt8(ascii: "/"))
            case UInt8(ascii: "%"):
                let digits = String(decoding: rest.prefix(2), as: UTF8.self)
                guard let value = UInt8(digits, radix: 16) else { fallthrough }
                rest.removeFirst(2)
                bytes.append(value)
            default: bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func text(_ value: JSONValue, _ place: String) throws(ToolFailure) -> String {
        guard let text = value.string else { throw Self.failure(place, "must be a text") }
        return text
    }

    private func texts(_ value: JSONValue, _ place: String) throws(ToolFailure) -> [String] {
        var texts: [String] = []
        for element in try array(value, place) { texts.append(try text(element, place)) }
        return texts
    }

    private func array(_ value: JSONValue, _ place: String) throws(ToolFailure) -> [JSONValue] {
        guard let array = value.array else { throw Self.failure(place, "must be an array") }
        return array
    }

    private func object(_ value: JSONValue, _ place: String) throws(ToolFailure) -> JSONObject {
        guard let object = value.object else { throw Self.failure(place, "must be an object") }
        return object
    }

    private func flag(_ value: JSONValue, _ place: String) throws(ToolFailure) -> Bool {
        guard let flag = value.bool else { throw Self.failure(place, "must be true or false") }
        return flag
    }

    private func number(_ value: JSONValue, _ place: String) throws(ToolFailure) -> Double {
        guard let number = value.double else { throw Self.failure(place, "must be a number") }
        return number
    }

    private func count(_ value: JSONValue, _ place: String) throws(ToolFailure) -> Int {
        guard let count = value.integer, count >= 0 else { throw Self.failure(place, "must be a whole number from 0") }
        return count
    }

    private static func failure(_ place: String, _ problem: String) -> ToolFailure {
        ToolFailure(.invalidArguments, "The tool's parameters are no schema that Tau can check: \(place): \(problem)")
    }
}

extension Array {
    fileprivate func element(_ index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
