import TauTestKit
import Testing

@testable import TauCore

@Suite struct UTF16LengthTests {
    @Test func `it is what the standard library counts`() {
        var random = SeededGenerator(seed: 16)
        let characters = ["a", "\0", "\u{7F}", "é", "“", "\u{FFFD}", "τ", "😀", "👩‍👩‍👧", "\u{10FFFF}"]
        for length in 0..<200 {
            let text = (0..<length).map { _ in characters.randomElement(using: &random) ?? "" }.joined()
            #expect(text.utf16Length == text.utf16.count, "\(text)")
            #expect(String(text.dropFirst(3)).utf16Length == text.dropFirst(3).utf16.count)
        }
    }
}
