import TauCore
import Testing

@testable import TauTools

@Suite struct EditedTextTests {
    private func edited(_ file: String, _ edits: (String, String)...) throws(ToolFailure) -> EditedText {
        let replacements = edits.map { EditedText.Replacement(old: Array($0.0.utf8), new: Array($0.1.utf8)) }
        return try EditedText(Array(file.utf8), replacements, path: "f")
    }

    private func expectFailure(_ file: String, _ edits: [(String, String)], says part: String) {
        let replacements = edits.map { EditedText.Replacement(old: Array($0.0.utf8), new: Array($0.1.utf8)) }
        let failure = #expect(throws: ToolFailure.self) { try EditedText(Array(file.utf8), replacements, path: "f") }
        #expect(failure?.message.contains(part) == true, "\(failure?.message ?? "no failure")")
    }

    @Test func `an exact text is replaced`() throws {
        #expect(try edited("one\ntwo\nthree\n", ("two", "2")).bytes == Array("one\n2\nthree\n".utf8))
    }

    @Test func `a byte order mark and carriage returns are kept`() throws {
        let file = "\u{FEFF}one\r\ntwo\r\nthree\r\n"
        #expect(try edited(file, ("one\ntwo", "1\n2")).bytes == Array("\u{FEFF}1\r\n2\r\nthree\r\n".utf8))
        #expect(try edited(file, ("two\r\n", "")).bytes == Array("\u{FEFF}one\r\nthree\r\n".utf8))
    }

    @Test func `endings outside of the replacement stay as they are`() throws {
        #expect(try edited("a\nb\r\nc\n", ("c", "d")).bytes == Array("a\nb\r\nd\n".utf8))
    }

    @Test func `typographic characters and white space at line ends match their plain forms`() throws {
        let file = "say \u{201C}hi\u{201D} \u{2013} it\u{2019}s\u{00A0}fine\u{2026}  \t\nnext \u{2018}x\u{2019}  \n"
        let result = try edited(file, ("say \"hi\" - it's fine...\n", "said\n"))
        // The second line, with its quotes and its spaces, is not touched.
        #expect(result.bytes == Array("said\nnext \u{2018}x\u{2019}  \n".utf8))
        #expect(try edited("\u{FF41}\u{FF08}1\u{FF09}\n", ("a(1)", "b")).bytes == Array("b\n".utf8))
    }

    @Test(arguments: [
        ("e\u{301}te\u{301}", "\u{E9}t\u{E9}"), ("\u{E9}t\u{E9}", "e\u{301}te\u{301}"), ("o\u{FB03}ce", "office"),
        ("x\u{B2}", "x2"), ("\u{FF76}\u{FF9E}", "\u{30AC}"), ("\u{1112}\u{1161}\u{11AB}", "\u{D55C}"),
        ("\u{2460}", "1"), ("\u{FF26}\u{FF4F}\u{FF4F}", "Foo"), ("a\u{2003}b", "a b"),
    ])
    func `compatibility characters and compositions match their plain forms`(file: String, asked: String) throws {
        let result = try edited("before\n<\(file)>\nafter \(file.prefix(0))\u{2026}\n", ("<\(asked)>", "new"))
        #expect(result.bytes == Array("before\nnew\nafter \u{2026}\n".utf8))
    }

    @Test func `a match never takes a letter from its accent`() {
        expectFailure("cafe\u{301}\u{2026}\n", [("cafe...", "x")], says: "not found")
        expectFailure("o\u{FB03}ce\n", [("off", "x")], says: "not found")
        expectFailure("o\u{FB00}er\n", [("of", "x")], says: "not found")
    }

    @Test func `white space at the beginning of a line is never guessed`() {
        expectFailure("\tif x {\n", [("    if x {", "y")], says: "not found")
    }

    @Test func `a match never ends within a character`() {
        expectFailure("wait\u{2026}\n", [("wait..", "go")], says: "not found")
    }

    @Test func `an exact match with a twin that differs in typography alone is refused`() {
        expectFailure("it's\nit\u{2019}s\n", [("it's", "x")], says: "2 times")
    }

    @Test func `a text that occurs three times is refused with the count`() {
        expectFailure("x\nx\nx\n", [("x", "y")], says: "3 times")
    }

    @Test func `several edits are matched against the original`() throws {
        #expect(try edited("a b c", ("a", "b"), ("c", "a")).bytes == Array("b b a".utf8))
    }

    @Test func `overlapping edits are refused`() {
        expectFailure("one two three", [("one two", "1"), ("two three", "2")], says: "overlap")
    }

    @Test func `an edit that changes nothing is refused`() {
        expectFailure("same", [("same", "same")], says: "Nothing would change")
    }

    @Test func `bytes that are not UTF-8 survive`() throws {
        let file: [UInt8] = [0xFF, 0xFE, 0x0A, 0x61, 0x0A, 0xC3]
        let result = try EditedText(file, [.init(old: [0x61], new: [0x62])], path: "f")
        #expect(result.bytes == [0xFF, 0xFE, 0x0A, 0x62, 0x0A, 0xC3])
    }

    @Test func `the diff shows changed lines with four around them`() throws {
        let file = (1...30).map { "line \($0)" }.joined(separator: "\n")
        let diff = try edited(file, ("line 10\n", "ten\nten and a half\n"), ("line 30", "last")).diff
        #expect(diff.firstChangedLine == 10)
        #expect(
            diff.text == """
                    ...
                  6 line 6
                  7 line 7
                  8 line 8
                  9 line 9
                -10 line 10
                +10 ten
                +11 ten and a half
                 11 line 11
                 12 line 12
                 13 line 13
                 14 line 14
                    ...
                 26 line 26
                 27 line 27
                 28 line 28
                 29 line 29
                -30 line 30
                +31 last
                """)
    }
}
