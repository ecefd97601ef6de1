internal import CTauPattern
package import TauCore

/// A regular expression (RE2's syntax) or a literal text to look for. Time is linear in the text searched, whatever
/// expression a model thinks of.
final class LinearPattern: Sendable {
    /// What a text is to the expression.
    enum Subject {
        /// `^` and `$` match at line ends, and nothing matches a line feed, as in ripgrep.
        case lines
        /// `^` and `$` match at its ends.
        case whole
    }

    // RE2 objects are constant once made, and their searches are safe on all threads at once (re2.h).
    private nonisolated(unsafe) let pattern: OpaquePointer

    init(
        _ expression: String, isLiteral: Bool = false, ignoresCase: Bool = false, of subject: Subject
    ) throws(ToolFailure) {
        var error = [CChar](repeating: 0, count: 200)
        let bytes = Array(expression.utf8).map { CChar(bitPattern: $0) }
        guard
            let pattern = tau_pattern_make(
                bytes, bytes.count, isLiteral, ignoresCase, subject == .lines, &error, error.count)
        else {
            let reason = String(decoding: error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw ToolFailure(.invalidArguments, "The pattern is not a regular expression: \(reason)")
        }
        self.pattern = pattern
    }

    deinit { tau_pattern_free(pattern) }

    /// Where the first match at or after `start` begins.
    func firstMatch(in text: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard start <= text.count else { return nil }
        let found = tau_pattern_find(pattern, text.baseAddress?.assumingMemoryBound(to: CChar.self), text.count, start)
        return found < 0 ? nil : found
    }
}

/// For `pattern` in schemas: RE2's syntax, anywhere in the text, in linear time.
package let patternCompiler: ArgumentSchema.PatternCompiler = {
    (expression) throws(ToolFailure) in
    let pattern = try LinearPattern(expression, of: .whole)
    return { text in Array(text.utf8).withUnsafeBytes { pattern.firstMatch(in: $0, from: 0) != nil } }
}
