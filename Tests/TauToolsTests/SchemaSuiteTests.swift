import Glibc
import TauCore
import TauSystem
import Testing

@testable import TauTools

/// The official JSON-Schema-Test-Suite, draft 2020-12, as far as the keywords are Tau's.
@Suite struct SchemaSuiteTests {
    private static let directory = getenv("TAU_TEST_SCHEMA_DIR").map { String(cString: $0) }.flatMap {
        $0.isEmpty ? nil : $0
    }

    /// Files that must be read and answered completely, but for what is named below.
    private static let files = [
        "additionalProperties", "allOf", "anyOf", "boolean_schema", "const", "contains", "default", "dependentRequired",
        "dependentSchemas", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "if-then-else",
        "infinite-loop-detection", "items", "maxContains", "maxItems", "maxLength", "maxProperties", "maximum",
        "minContains", "minItems", "minLength", "minProperties", "minimum", "multipleOf", "not", "oneOf", "pattern",
        "patternProperties", "prefixItems", "properties", "propertyNames", "ref", "required", "type", "uniqueItems",
    ]

    /// Groups with keywords that Tau refuses.
    private static func isBeyond(_ group: JSONValue) -> Bool {
        let text = group["schema"]?.text ?? ""
        let unknown = [
            "\"$anchor\"", "\"unevaluated", "\"$dynamic", "\"$vocabulary\"", "\"$id\"", "http://",
            "https://json-schema.org/draft/2020-12/schema\"}",
        ]
        return unknown.contains { text.contains($0) }
    }

    @Test(.enabled(if: directory != nil, "the suite is not here: scripts/schema-suite.sh"), arguments: files)
    func `the keyword means what the suite says`(file: String) throws {
        let directory = try #require(Self.directory)
        let suite = try JSONValue(parsing: try #require(try content(of: "\(directory)/\(file).json")))
        var checked = 0
        for group in try #require(suite.array) {
            let schema = try #require(group["schema"])
            let compiled: ArgumentSchema
            do {
                compiled = try ArgumentSchema(schema, patterns: patternCompiler)
            } catch {
                #expect(Self.isBeyond(group), "\(group["description"]?.text ?? ""): \(error)")
                continue
            }
            for test in try #require(group["tests"]?.array) {
                let name = "\(group["description"]?.string ?? ""): \(test["description"]?.string ?? "")"
                #expect(compiled.admits(try #require(test["data"])) == test["valid"]?.bool, "\(name)")
                checked += 1
            }
        }
        #expect(checked > 0)
    }

    @Test(arguments: [
        (
            ##"{"properties":{"a":{"unevaluatedItems":false}}}"##,
            "#/properties/a/unevaluatedItems: Tau does not know this keyword"
        ),
        (##"{"$ref":"http://example.com/x"}"##, "#/$ref: only references within the schema are followed"),
        (##"{"$ref":"#/$defs/none"}"##, "#/$ref: #/$defs/none leads to nothing"),
        (##"{"type":"text"}"##, ##"#/type: there is no type "text""##),
        (##"{"minLength":-1}"##, "#/minLength: must be a whole number"),
        (##"{"pattern":"(a"}"##, "#/pattern: The pattern is not a regular expression"),
        (##"{"pattern":"(?=a)"}"##, "#/pattern: The pattern is not a regular expression"),
        (##"{"anyOf":{}}"##, "#/anyOf: must be an array"),
        (##"{"multipleOf":0}"##, "#/multipleOf: must be more than 0"),
        (##"{"items":3}"##, "#/items: a schema is an object, true or false"),
    ]) func `a schema that Tau cannot check is refused with its place`(schema: String, problem: String) throws {
        let schema = try JSONValue(parsing: schema)
        let failure = #expect(throws: ToolFailure.self) { try ArgumentSchema(schema, patterns: patternCompiler) }
        #expect(failure?.message.contains(problem) == true, "\(failure?.message ?? "")")
    }

    @Test(arguments: [
        ("^a$", "a", true), ("^a$", "x\na", false), ("^a$", "a\n", false), ("^[^b]+$", "x\ny", true),
        ("x.y", "x\ny", false),
    ]) func `a pattern sees a text and not its lines`(pattern: String, text: String, matches: Bool) throws {
        let schema = try ArgumentSchema(["pattern": .string(pattern)], patterns: patternCompiler)
        #expect(schema.admits(.string(text)) == matches)
    }

    @Test func `a schema without end does no harm`() throws {
        let schema = try ArgumentSchema(["$ref": "#"])
        #expect(schema.validate(JSONObject()).problems.map(\.message).contains("is nested too deeply"))
        let bush = try ArgumentSchema(["anyOf": [["$ref": "#"], ["$ref": "#"]]])
        #expect(!bush.admits(1))
    }
}
