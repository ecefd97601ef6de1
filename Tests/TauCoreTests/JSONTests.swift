import TauCore
import TauTestKit
import Testing

@Suite struct JSONTests {
    @Test(arguments: [
        "null", "true", " [1, 2.50, -0.0e+1] ", "{}", #"{"a":{"b":[]}}"#, #""\u00e9\n\ud83d\ude48""#, "\"\u{2028}\"",
        "1e400",
        "123456789012345678901234567890",
    ])
    func `valid texts are read`(_ text: String) throws { _ = try JSONValue(parsing: text) }

    @Test(arguments: [
        "", " ", "nul", "[1,]", "{\"a\":1,}", "{a:1}", "01", "1.", ".5", "+1", "1e", "-", "\"", "\"\\x\"",
        "\"\\u12g4\"",
        "\"\t\"", "[1] 2", "\u{FEFF}1", "{\"a\" 1}", "['a']", "NaN", "[", "{", "\"\\", "tru", "{\"a\":}",
    ])
    func `invalid texts are refused`(_ text: String) {
        #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
    }

    @Test(
        arguments: [
            [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0x80], [0xE2, 0x82], [0xFF],
            [0xF8, 0x88, 0x80, 0x80, 0x80],
            [0xE0, 0x80, 0xAF],
        ] as [[UInt8]])
    func `bytes that are no UTF-8 are refused`(_ bytes: [UInt8]) {
        #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22] + bytes + [0x22]) }
        #expect(throws: JSONError.self) {
            try JSONValue(parsing: Array("\"long enough for eight ".utf8) + bytes + [0x22])
        }
    }

    @Test func `nesting has a bound`() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try JSONValue(parsing: nested(512))
        #expect(throws: JSONError.self) { try JSONValue(parsing: nested(513)) }
        #expect(throws: JSONError.self) { try JSONValue(parsing: nested(65), limits: .request) }
        #expect(throws: JSONError.self) { try JSONValue(parsing: String(repeating: "{\"a\":", count: 100_000)) }
    }

    @Test func `of two equal keys the last one counts, and a request must not have them`() throws {
        let text = #"{"role":"user","x":1,"role":"admin"}"#
        #expect(try JSONValue(parsing: text)["role"] == "admin")
        #expect(throws: JSONError.self) { try JSONValue(parsing: text, limits: .request) }
        // Canonically equivalent keys are two keys.
        let twins = try JSONValue(parsing: "{\"caf\u{e9}\":1,\"cafe\u{301}\":2}", limits: .request)
        #expect(twins["caf\u{e9}"] == 1)
        #expect(twins["cafe\u{301}"] == 2)
    }

    @Test func `escapes are read, and a lone surrogate becomes the replacement character`() throws {
        #expect(try JSONValue(parsing: #""\"\\\/\b\f\n\r\t\u0041\ud83d\ude48""#).string == "\"\\/\u{8}\u{C}\n\r\tA🙈")
        #expect(try JSONValue(parsing: #""a\ud800b""#).string == "a\u{FFFD}b")
        #expect(try JSONValue(parsing: #""\ud800\ud83d\ude48\udc00""#).string == "\u{FFFD}🙈\u{FFFD}")
    }

    @Test func `numbers keep their text, and give their value`() throws {
        let value = try JSONValue(parsing: "[1.0, 1e2, -0, 3.5, 1e400, 9223372036854775808]").array
        #expect(value?.map(\.text) == ["1.0", "1e2", "-0", "3.5", "1e400", "9223372036854775808"])
        #expect(value?.map(\.integer) == [1, 100, 0, nil, nil, nil])
        #expect(value?[4].double == nil)
    }

    @Test(arguments: [
        (0.1 + 0.2, "0.30000000000000004"), (1, "1"), (-0.0, "0"), (1e21, "1e+21"),
        (1.2345678901234568e20, "123456789012345680000"),
        (1e-7, "1e-7"), (0.000001, "0.000001"), (1.5e-9, "1.5e-9"), (Double.leastNonzeroMagnitude, "5e-324"),
        (1.5e300, "1.5e+300"), (-2.5, "-2.5"),
        (.infinity, "null"), (100, "100"), (0.00002, "0.00002"), (12345.678, "12345.678"), (9e15, "9000000000000000"),
        (4.35, "4.35"), (1.7976931348623157e308, "1.7976931348623157e+308"),
    ])
    func `numbers are written as JavaScript writes them`(_ pair: (Double, String)) {
        #expect(JSONWriter.javaScriptNumber(pair.0) == pair.1)
    }

    @Test func `text is escaped as JSON stringify does`() {
        #expect(
            JSONValue.string("a\"\\/\u{8}\u{C}\n\r\t\u{1}\u{7F}é\u{2028}").text
                == "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\u{7F}é\u{2028}\"")
    }

    @Test func `what is written is read back the same`() throws {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<2000 {
            let value = Self.random(&generator, depth: 0)
            #expect(try JSONValue(parsing: value.serialized) == value)
        }
    }

    static func random(_ generator: inout SeededGenerator, depth: Int) -> JSONValue {
        switch Int.random(in: 0..<(depth < 4 ? 7 : 5), using: &generator) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &generator))
        case 2: return .double(Double(Int.random(in: -1_000_000...1_000_000, using: &generator)) / 1000)
        case 3, 4:
            let scalars: [Unicode.Scalar] = [
                "a", "\"", "\\", "\n", "\u{0}", "é", "\u{2028}", "🙈", "e", "\u{301}", "/", "z",
            ]
            let count = Int.random(in: 0..<20, using: &generator)
            var text = String.UnicodeScalarView()
            for _ in 0..<count { text.append(scalars.randomElement(using: &generator) ?? "a") }
            return .string(String(text))
        case 5:
            return .array(
                (0..<Int.random(in: 0..<5, using: &generator)).map { _ in random(&generator, depth: depth + 1) })
        default:
            let members = (0..<Int.random(in: 0..<5, using: &generator)).map { index in
                JSONObject.Member(key: "key \(index)", value: random(&generator, depth: depth + 1))
            }
            return .object(JSONObject(members: members))
        }
    }
}
