import TauCore
import TauTestKit
import Testing

/// JavaScript's form of numbers.
@Suite struct NumberTests {
    @Test(arguments: [
        (1.23456789e-7, "1.23456789e-7"), (9.999999999999999e20, "999999999999999900000"),
        (1e20, "100000000000000000000"), (9_007_199_254_740_992, "9007199254740992"),
        (9.223372036854775807e18, "9223372036854776000"), (1e23, "1e+23"), (-1e-7, "-1e-7"), (-0.000001, "-0.000001"),
        (-.infinity, "null"), (.nan, "null"), (1.0e-5, "0.00001"), (12e-7, "0.0000012"), (9e15 - 1, "8999999999999999"),
        (-1e21, "-1e+21"), (2.2250738585072014e-308, "2.2250738585072014e-308"), (123_456_789.25, "123456789.25"),
    ])
    func `are written as JavaScript writes them`(_ pair: (Double, String)) {
        #expect(JSONWriter.javaScriptNumber(pair.0) == pair.1)
    }

    /// The same numbers, written by Node's `JSON.stringify`, have this checksum (FNV-1a over the lines).
    @Test func `40,060 numbers of every size are those that Node writes`() {
        var generator = SeededGenerator(seed: 5)
        var checksum: UInt64 = 0xCBF2_9CE4_8422_2325
        func add(_ value: Double) {
            for byte in (JSONWriter.javaScriptNumber(value) + "\n").utf8 {
                checksum = (checksum ^ UInt64(byte)) &* 0x100_0000_01B3
            }
        }
        for _ in 0..<20_000 { add(Double(bitPattern: generator.next())) }
        for _ in 0..<20_000 { add(Double(generator.next() % 1_000_000_000_000) / 1e9) }
        for exponent in -30..<30 { add(Double("123456789e\(exponent)") ?? .nan) }
        #expect(checksum == 0x195d_2b28_4c44_284b)
    }

    @Test func `of any bits are read back as the same number`() throws {
        var generator = SeededGenerator(seed: 6)
        for _ in 0..<5000 {
            let value = Double(bitPattern: generator.next())
            guard value.isFinite else { continue }
            let read = try JSONValue(parsing: JSONWriter.javaScriptNumber(value)).double
            #expect(read == value)
        }
    }

    @Test func `keep their text from reading to writing`() throws {
        for text in ["-0", "1.0", "1e2", "1E+2", "0.10", "1e400", "-1.5e-07", "12345678901234567890.5"] {
            #expect(try JSONValue(parsing: "[\(text)]").text == "[\(text)]")
        }
    }

    @Test(
        arguments: [
            ("3", 3), ("3.0", 3), ("3e0", 3), ("30e-1", 3), ("-0", 0), ("9223372036854775807", .max),
            ("-9223372036854775808", .min), ("9223372036854775808", nil), ("1e19", nil), ("3.5", nil), ("1e-400", 0),
        ] as [(String, Int?)])
    func `are whole where their value is`(_ pair: (String, Int?)) throws {
        #expect(try JSONValue(parsing: pair.0).integer == pair.1)
    }
}
