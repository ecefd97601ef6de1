import TauCore
import Testing

@Suite struct ArgumentValidationTests {
    /// One argument `v`, its schema, and what becomes of it: the value as JSON, or the message.
    struct Case: Sendable, CustomTestStringConvertible {
        var schema: String
        var value: String
        var result: Result<String, Refused>
        var testDescription: String { "\(value) as \(schema)" }

        init(_ schema: String, _ value: String, _ result: String) {
            self.schema = schema
            self.value = value
            self.result = .success(result)
        }

        init(_ schema: String, _ value: String, refused message: String) {
            self.schema = schema
            self.value = value
            result = .failure(Refused(message: message))
        }
    }

    struct Refused: Error, Equatable { var message: String }

    @Test(arguments: [
        // The type itself.
        Case(#"{"type":"string"}"#, #""a""#, #""a""#), Case(#"{"type":"number"}"#, "1.50", "1.50"),
        Case(#"{"type":"integer"}"#, "3.0", "3"), Case(#"{"type":"boolean"}"#, "true", "true"),
        Case(#"{"type":"null"}"#, "null", "null"), Case(#"{"type":"array"}"#, "[1]", "[1]"),
        Case(#"{"type":"object"}"#, #"{"a":1}"#, #"{"a":1}"#), Case("{}", "[null]", "[null]"),
        // A near kind.
        Case(#"{"type":"string"}"#, "1.0", #""1.0""#), Case(#"{"type":"string"}"#, "false", #""false""#),
        Case(#"{"type":"number"}"#, #""2.5""#, "2.5"), Case(#"{"type":"integer"}"#, #""-7""#, "-7"),
        Case(#"{"type":"boolean"}"#, #""false""#, "false"), Case(#"{"type":"string"}"#, "null", #""""#),
        Case(#"{"type":"number"}"#, "true", "1"), Case(#"{"type":"integer"}"#, "null", "0"),
        Case(#"{"type":"boolean"}"#, "1", "true"), Case(#"{"type":"boolean"}"#, "null", "false"),
        Case(#"{"type":"null"}"#, "0", "null"), Case(#"{"type":"null"}"#, #""""#, "null"),
        // The first of several types that it has or can be turned into.
        Case(#"{"type":["string","null"]}"#, "null", "null"), Case(#"{"type":["integer","string"]}"#, #""x""#, #""x""#),
        Case(#"{"type":["integer","boolean"]}"#, #""7""#, "7"),
        Case(#"{"anyOf":[{"type":"integer"},{"type":"array"}]}"#, #""7""#, "7"),
        // Another kind.
        Case(#"{"type":"string"}"#, "[]", refused: "must be a string"),
        Case(#"{"type":"number"}"#, #""two""#, refused: "must be a number"),
        Case(#"{"type":"number"}"#, #""nan""#, refused: "must be a number"),
        Case(#"{"type":"number"}"#, #""infinity""#, refused: "must be a number"),
        Case(#"{"type":"number"}"#, #""""#, refused: "must be a number"),
        Case(#"{"type":"integer"}"#, "1.5", refused: "must be a whole number"),
        Case(#"{"type":"integer"}"#, "1e30", refused: "must be a whole number"),
        Case(#"{"type":"integer"}"#, #""1.5""#, refused: "must be a whole number"),
        Case(#"{"type":"boolean"}"#, "2", refused: "must be a boolean"),
        Case(#"{"type":"boolean"}"#, #""yes""#, refused: "must be a boolean"),
        Case(#"{"type":"array"}"#, #"{}"#, refused: "must be an array"),
        Case(#"{"type":"object"}"#, "[]", refused: "must be an object"),
        Case(#"{"type":"null"}"#, "1", refused: "must be null"),
        // Bounds, both ends.
        Case(#"{"type":"integer","minimum":1,"maximum":3}"#, "1", "1"),
        Case(#"{"type":"integer","minimum":1,"maximum":3}"#, "3", "3"),
        Case(#"{"type":"integer","minimum":1,"maximum":3}"#, "0", refused: "must be at least 1"),
        Case(#"{"type":"integer","minimum":1,"maximum":3}"#, #""4""#, refused: "must be at most 3"),
        Case(#"{"type":"number","maximum":0.5}"#, "0.6", refused: "must be at most 0.5"),
        Case(#"{"type":"number"}"#, "1e400", refused: "must be a finite number"),
        Case(#"{"type":"string","minLength":2,"maxLength":2}"#, #""🙈é""#, #""🙈é""#),
        Case(#"{"type":"string","minLength":2}"#, #""🙈""#, refused: "must have at least 2 characters"),
        Case(#"{"type":"string","maxLength":2}"#, #""abc""#, refused: "must have at most 2 characters"),
        Case(#"{"type":"array","minItems":1}"#, "[]", refused: "must have at least 1 elements"),
        Case(#"{"type":"array","maxItems":1}"#, "[1,2]", refused: "must have at most 1 elements"),
        Case(#"{"enum":["a",1,null]}"#, "null", "null"),
        Case(#"{"enum":["a",1]}"#, #""b""#, refused: #"must be one of "a", 1"#),
        // A number that came as text is one of the allowed numbers.
        Case(#"{"type":"integer","enum":[1,2]}"#, #""2""#, "2"),
        // Elements are turned where they stand.
        Case(#"{"type":"array","items":{"type":"integer"}}"#, #"["1",2.0]"#, "[1,2]"),
    ])
    func `an argument is taken, turned or refused`(_ item: Case) throws {
        let schema: JSONValue = ["type": "object", "properties": ["v": try JSONValue(parsing: item.schema)]]
        let received = JSONObject(members: [.init(key: "v", value: try JSONValue(parsing: item.value))])
        let validation = try ArgumentSchema(schema).validate(received)
        switch item.result {
        case .success(let text):
            #expect(validation.problems.isEmpty)
            #expect(validation.arguments["v"]?.text == text)
        case .failure(let refused):
            #expect(validation.problems.map(\.message) == [refused.message])
            #expect(validation.problems.map(\.path) == ["v"])
            // What was refused is left as it came.
            #expect(validation.arguments == received)
        }
    }

    @Test func `of a key that came twice the last one counts, as for every reader`() throws {
        let schema: JSONValue = ["type": "object", "properties": ["v": ["type": "integer"]]]
        let received = try #require(try JSONValue(parsing: #"{"v":"1","w":0,"v":"2"}"#).object)
        let validation = try ArgumentSchema(schema).validate(received)
        #expect(validation.problems.isEmpty)
        #expect(validation.arguments["v"] == 2)
    }

    @Test func `the root has a name in a problem`() throws {
        let problems = try ArgumentSchema(["type": "array"]).validate(JSONObject()).problems
        #expect(problems.map { "\($0.path): \($0.message)" } == ["arguments: must be an array"])
    }
}
