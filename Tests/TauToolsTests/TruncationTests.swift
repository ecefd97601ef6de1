import Crypto
import TauCore
import TauTestKit
import Testing

@testable import TauTools

@Suite struct TruncationTests {
    /// The texts that the vectors were made from, by the vectors' names.
    private static let inputs: [String: String] = {
        func lines(_ count: Int, width: Int) -> String {
            (1...count).map { number in
                let digits = String(number)
                return digits + String(repeating: ".", count: width - digits.utf8.count)
            }.joined(separator: "\n")
        }
        return [
            "3 lines": "a\nb\nc", "empty": "", "trailing newline": "a\nb\n",
            "2000 lines w5": lines(2000, width: 5), "2001 lines w5": lines(2001, width: 5),
            "2001 lines + nl": lines(2001, width: 5) + "\n", "600x100": lines(600, width: 100),
            "one 60000 char line": String(repeating: "z", count: 60_000),
            "one 60000 line + nl": String(repeating: "z", count: 60_000) + "\n",
            "emoji long line": String(repeating: "\u{1F648}", count: 20_000),
            "small limits": "aaaa\nbbbb\ncccc\ndddd", "small bytes": "aaaa\nbbbb\ncccc\ndddd",
        ]
    }()

    @Test func `heads and tails are cut as recorded`() throws {
        let vectors = try #require(try SharedData.json("pi/golden/truncate.json").array)
        #expect(vectors.count == Self.inputs.count)
        for vector in vectors {
            let name = try #require(vector["case"]?.string)
            let input = try #require(Self.inputs[name])
            #expect(input.utf16.count == vector["inputLen"]?.integer)
            let maxLines = vector["opts"]?["maxLines"]?.integer ?? 2000
            let maxBytes = vector["opts"]?["maxBytes"]?.integer ?? 51_200
            let head = Truncation.head(input.utf8, maxLines: maxLines, maxBytes: maxBytes)
            try expect(head, isAs: vector["head"], name)
            let tail = Truncation.tail(input.utf8, maxLines: maxLines, maxBytes: maxBytes)
            // This vector holds an error of the version that made it: an empty tail. The newer rule has its own test.
            if name != "one 60000 line + nl" { try expect(tail, isAs: vector["tail"], name) }
        }
    }

    private func expect(_ truncation: Truncation, isAs vector: JSONValue?, _ name: String) throws {
        var expected = try #require(vector?.object)
        #expect(truncation.content.utf16.count == expected["contentLen"]?.integer, "\(name)")
        #expect(Self.shortDigest(truncation.content) == expected["contentSha"]?.string, "\(name)")
        expected["contentLen"] = nil
        expected["contentSha"] = nil
        #expect(truncation.json.object == expected, "\(name)")
    }

    @Test func `the tail of an oversized line with a line feed is the end of that line`() {
        let text = String(repeating: "z", count: 60_000) + "end\n"
        let tail = Truncation.tail(text.utf8, maxLines: 2000, maxBytes: 51_200)
        #expect(tail.content.hasSuffix("zend\n"))
        #expect(tail.outputBytes == 51_200)
        #expect(tail.lastLinePartial)
    }

    @Test func `a tail begins with a whole character`() {
        let tail = Truncation.tail("ab\u{20AC}\u{20AC}".utf8, maxLines: 10, maxBytes: 5)
        #expect(tail.content == "\u{20AC}")
        #expect(tail.outputBytes == 3)
    }

    @Test func `sizes read as recorded`() throws {
        for vector in try #require(try SharedData.json("pi/golden/formatsize.json").array) {
            let pair = try #require(vector.array)
            #expect(ByteCount.text(try #require(pair[0].integer)) == pair[1].string)
        }
    }

    @Test func `line endings are found and normalised as recorded`() throws {
        for vector in try #require(try SharedData.json("pi/golden/lineendings.json").array) {
            let input = Array(try #require(vector["in"]?.string).utf8)
            let isCRLF = Array(try #require(vector["detected"]?.string).utf8) == [13, 10]
            #expect(LineEnding(detectingIn: input) == (isCRLF ? .carriageReturnLineFeed : .lineFeed))
            #expect(NormalizedText(endings: input[...]).bytes == Array(try #require(vector["lf"]?.string).utf8))
        }
    }

    @Test func `output is cleaned of control characters and invalid bytes`() {
        let raw: [UInt8] = [0x61, 0, 0x62, 0x1B, 0xC2, 0x9B, 0xFF, 0x09, 0x0D, 0x0A, 0x7F, 0xE2, 0x82, 0xAC]
        let clean = String(decoding: CleanText.clean(raw), as: UTF8.self)
        #expect(clean == "a\u{FFFD}b\u{FFFD}\u{FFFD}\u{FFFD}\t\n\u{FFFD}\u{20AC}")
    }

    @Test(arguments: [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")])
    func `base64 is that of RFC 4648`(text: String, encoded: String) {
        #expect(Base64.encode(Array(text.utf8)) == encoded)
    }

    /// As the vectors give it: the first 16 digits of the SHA-256.
    private static func shortDigest(_ text: String) -> String {
        SHA256.hash(data: Array(text.utf8)).prefix(8).map { byte in
            (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }
}
