/// A tool's JSON Schema, read once and ready for checking calls.
///
/// It knows the part of draft 2020-12 (https://json-schema.org/draft/2020-12) that tools use:
/// - `type`, `enum`, `const`; `$ref` within the schema, `$defs` (also as `definitions`); `true` and `false` as schemas
/// - `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf`
/// - `minLength`, `maxLength`, `pattern` (where the program brings a matcher)
/// - `items`, `prefixItems`, `contains`, `minContains`, `maxContains`, `minItems`, `maxItems`, `uniqueItems`
/// - `properties`, `required`, `additionalProperties`, `propertyNames`, `minProperties`, `maxProperties`,
///   `dependentRequired`, `dependentSchemas`; `patternProperties` as `pattern`
/// - `allOf`, `anyOf`, `oneOf`, `not`, `if`, `then`, `else`
/// - and what only informs: `title`, `description`, `default`, `examples`, `deprecated`, `readOnly`, `writeOnly`,
///   `format`, `contentEncoding`, `contentMediaType`, `$comment`, `$schema`, and `$id` at the root
///
/// Anything else is refused here, because a bound that is silently not checked is worse than none.
public struct ArgumentSchema: Sendable {
    let nodes: [SchemaNode]
    let root: Int

    /// Makes a matcher of a `pattern`: does the text contain a match? Throws in words if the expression is none.
    public typealias PatternCompiler = @Sendable (String) throws(ToolFailure) -> @Sendable (String) -> Bool

    /// Throws `invalidArguments` that says where in the schema what is wrong. Without `patterns` there are no patterns.
    public init(_ schema: JSONValue, patterns: PatternCompiler? = nil) throws(ToolFailure) {
        var reader = SchemaReader(document: schema, patterns: patterns)
        root = try reader.read(schema, at: "#")
        nodes = reader.nodes
    }

    /// The arguments of a call, turned into the kinds that the schema asks for where they are near, or what is wrong.
    public func validate(_ arguments: JSONObject) -> ArgumentValidation {
        let (value, problems) = check(.object(arguments), coerces: true)
        guard problems.isEmpty, let object = value.object else {
            return ArgumentValidation(arguments: arguments, problems: problems)
        }
        return ArgumentValidation(arguments: object, problems: [])
    }

    /// Whether a value of any kind is valid as it is.
    public func admits(_ value: JSONValue) -> Bool { check(value, coerces: false).problems.isEmpty }

    private func check(
        _ value: JSONValue, coerces: Bool
    ) -> (value: JSONValue, problems: [ArgumentValidation.Problem]) {
        var check = SchemaCheck(nodes: nodes, coerces: coerces)
        let result = check.check(value, against: root, path: "")
        return (result, check.problems)
    }
}

/// One schema of the document. Other schemas are named by their place in the list, so that they may refer to each other.
struct SchemaNode: Sendable {
    /// `false`: nothing is valid.
    var isNever = false
    var reference: Int?
    var types: [SchemaType] = []
    var allowed: [JSONValue]?
    var constant: JSONValue?

    var minimum: Double?
    var maximum: Double?
    var exclusiveMinimum: Double?
    var exclusiveMaximum: Double?
    var multipleOf: Double?

    var length = Bounds()
    var pattern: Pattern?

    var items: Int?
    var prefixItems: [Int] = []
    var contains: Int?
    var containsCount = Bounds()
    var itemCount = Bounds()
    var itemsAreUnique = false

    var properties: [(name: String, schema: Int)] = []
    var patternProperties: [(pattern: Pattern, schema: Int)] = []
    var required: [String] = []
    var additionalProperties: Int?
    var propertyNames: Int?
    var propertyCount = Bounds()
    var dependentRequired: [(name: String, required: [String])] = []
    var dependentSchemas: [(name: String, schema: Int)] = []

    var allOf: [Int] = []
    var anyOf: [Int]?
    var oneOf: [Int]?
    var not: Int?
    var condition: Int?
    var consequence: Int?
    var alternative: Int?

    struct Bounds: Sendable {
        var minimum: Int?
        var maximum: Int?
    }

    struct Pattern: Sendable {
        var text: String
        var matches: @Sendable (String) -> Bool
    }
}

enum SchemaType: String, Sendable {
    case string, number, integer, boolean, array, object, null
}
