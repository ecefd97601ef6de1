import TauCore
import TauTestKit
import Testing

@Suite struct JSONDocumentTests {
    func read<Value>(_ text: String, _ body: (JSONView) -> Value) throws -> Value {
        let document = JSONDocument()
        return try Array(text.utf8).withUnsafeBufferPointer { try document.read($0, body) }
    }

    @Test func `fields are found, whatever stands between them`() throws {
        let text =
            #"{"skip":{"a":[1,{"b":2}]}, "name" : "Ann \"A\" \u00e9", "n": 12, "f":-1.5, "t":true, "z":null, "list":[{"x":1},"y",[]], "n":13}"#
        try read(text) { json in
            #expect(json.isObject)
            #expect(json["name"]?.string == "Ann \"A\" é")
            // The last one counts, as in JavaScript.
            #expect(json["n"]?.integer == 13)
            #expect(json["f"]?.double == -1.5)
            #expect(json["f"]?.integer == nil)
            #expect(json["z"]?.isNull == true)
            #expect(json["missing"] == nil)
            #expect(json["skip"]?["a"]?.elements.count == 2)
            #expect(json["list"]?.first?["x"]?.integer == 1)
            #expect(json["list"]?.elements[1].equals("y") == true)
            #expect(json["list"]?.elements[2].first == nil)
            #expect(json["t"]?.value == true)
            #expect(json["skip"]?.value == ["a": [1, ["b": 2]]])
            #expect(json["name"]?.value == "Ann \"A\" é")
            #expect(json["name"]?["x"] == nil)
        }
        try read(#"{"n\u0061me":"x","empty":""}"#) { json in
            #expect(json["name"]?.string == "x")
            #expect(json["empty"]?.string == "")
            #expect(json["empty"]?.nonEmptyString == nil)
        }
        try read("12345678901234567890123") { #expect($0.integer == nil) }
    }

    @Test(arguments: ["", "{", #"{"a":}"#, "[1,]", #"{"a":1} x"#, "\"\u{1}\"", "nul", #"{"a" 1}"#])
    func `what is no JSON is refused, and the next text is read`(_ text: String) throws {
        let document = JSONDocument()
        #expect(throws: JSONError.self) {
            try Array(text.utf8).withUnsafeBufferPointer { try document.read($0) { _ in } }
        }
        #expect(try Array("[7]".utf8).withUnsafeBufferPointer { try document.read($0) { $0.first?.integer } } == 7)
    }

    @Test func `values are those that the other reader makes`() throws {
        for name in ["pi/golden/agent-loop-traces.json", "pi/golden/truncate.json"] {
            let bytes = try SharedData.bytes(name)
            let document = JSONDocument()
            let value = try bytes.withUnsafeBufferPointer { try document.read($0) { $0.value } }
            #expect(value == (try JSONValue(parsing: bytes)))
        }
    }
}
