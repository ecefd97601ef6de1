import TauCore
import TauTestKit
import Testing

/// The scanner at the edges of its eight-byte steps, and against damaged texts.
@Suite struct JSONTextTests {
    @Test func `any byte at any place of a string is read, or refused as it must be`() throws {
        for byte in UInt8.min...UInt8.max {
            for length in 0..<18 {
                let text =
                    [0x22] + [UInt8](repeating: 0x61, count: length) + [byte]
                    + [UInt8](repeating: 0x62, count: 9) + [0x22]
                let value = try? JSONValue(parsing: text)
                if byte >= 0x20, byte < 0x80, byte != 0x22, byte != 0x5C {
                    let expected = String(decoding: text.dropFirst().dropLast(), as: UTF8.self)
                    #expect(value == .string(expected), "\(byte) at \(length)")
                } else if byte == 0x5C {
                    // The escape is \b.
                    #expect(value?.string?.utf8.count == length + 9, "\(byte) at \(length)")
                } else {
                    #expect(value == nil, "\(byte) at \(length)")
                }
            }
        }
    }

    @Test func `every scalar of Unicode is written and read`() throws {
        var text = String.UnicodeScalarView()
        for value in UInt32(0)..<0x11_0000 {
            guard let scalar = Unicode.Scalar(value) else { continue }
            text.append(scalar)
        }
        let value = JSONValue.string(String(text))
        let read = try #require(try JSONValue(parsing: value.serialized).string)
        #expect(read.utf8.elementsEqual(String(text).utf8))
    }

    @Test func `every surrogate escape is read as JavaScript's well-formed text has it`() throws {
        for unit in stride(from: UInt16(0xD800), through: 0xDFFF, by: 1) {
            let escape = "\\u" + String(unit, radix: 16)
            #expect(try JSONValue(parsing: "\"\(escape)\"") == "\u{FFFD}")
            #expect(try JSONValue(parsing: "\"\(escape)\\n\"") == "\u{FFFD}\n")
        }
        // The first and the last pair, and a pair in capitals.
        #expect(try JSONValue(parsing: #""\ud800\udc00\udbff\udfff\uD83D\uDE48""#) == "\u{10000}\u{10FFFF}🙈")
        // Two high halves and one low: the second pair counts.
        #expect(try JSONValue(parsing: #""\ud83d\ud83d\ude48""#) == "\u{FFFD}🙈")
        #expect(try JSONValue(parsing: #""\ud83dA""#) == "\u{FFFD}A")
    }

    @Test func `no beginning of a text is taken for the whole`() throws {
        let text = #"{"a":[1.5e+3,true,null,{"b":"é\u00e9\ud83d\ude48 🙈"}],"c":{}}"#
        let bytes = Array(text.utf8)
        for length in 0..<bytes.count {
            #expect(throws: JSONError.self, "\(length)") { try JSONValue(parsing: bytes.prefix(length)) }
        }
        _ = try JSONValue(parsing: bytes)
    }

    @Test func `an error tells where it lies`() {
        #expect(throws: JSONError(offset: 6, reason: "unescaped control character in a string")) {
            try JSONValue(parsing: "[1, \"a\tb\"]")
        }
        #expect(throws: JSONError(offset: 4, reason: "unexpected text after the value")) {
            try JSONValue(parsing: "[1] 2")
        }
        #expect(throws: JSONError(offset: 0, reason: "an object names a key twice")) {
            try JSONValue(parsing: #"{"a":1,"\u0061":2}"#, limits: .request)
        }
    }

    @Test func `white space is the four characters of the grammar`() throws {
        #expect(
            try JSONValue(parsing: " \t\r\n[ \t\r\n1 \t\r\n, \t\r\n{ \t\r\n\"a\" \t\r\n: 2 } ] \t\r\n") == [
                1, ["a": 2],
            ])
        for space in ["\u{A0}", "\u{2028}", "\u{B}", "\u{C}", "\u{0}", "\u{FEFF}"] {
            #expect(throws: JSONError.self) { try JSONValue(parsing: "[1,\(space)2]") }
        }
    }

    @Test func `nesting in the last place of a request is allowed, one more is not`() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "{\"a\":[", count: depth / 2) + String(repeating: "]}", count: depth / 2)
        }
        _ = try JSONValue(parsing: nested(64), limits: .request)
        #expect(throws: JSONError.self) { try JSONValue(parsing: nested(66), limits: .request) }
    }

    @Test func `members keep their order, an update its place, a new one goes to the end`() throws {
        var object = try #require(try JSONValue(parsing: #"{"z":1,"a":2,"z":3}"#).object)
        object.update("z", to: 4)
        object.update("m", to: 5)
        #expect(JSONValue.object(object).text == #"{"z":1,"a":2,"z":4,"m":5}"#)
        object["z"] = 6
        #expect(JSONValue.object(object).text == #"{"a":2,"m":5,"z":6}"#)
        object["a"] = nil
        #expect(JSONValue.object(object).text == #"{"m":5,"z":6}"#)
        object["m"] = .null
        #expect(object["m"] == .null)
    }
}
