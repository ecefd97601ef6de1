internal import ArgumentParser
internal import Glibc
internal import TauCore
internal import TauSystem

/// Output as a person or a pipe wants it.
enum Terminal {
    static let outputIsTerminal = isatty(STDOUT_FILENO) == 1
    static let errorsAreTerminal = isatty(STDERR_FILENO) == 1
    static let inputIsTerminal = isatty(STDIN_FILENO) == 1
    /// See no-color.org.
    private static let wantsNoColor = getenv("NO_COLOR").map { $0.pointee != 0 } ?? false

    static var errorsAreColoured: Bool { errorsAreTerminal && !wantsNoColor }

    enum Style: String {
        case dim = "2"
        case bold = "1"
        case red = "31"
        case green = "32"
        case cyan = "36"
    }

    static func styled(_ text: String, _ style: Style, onErrors: Bool = false) -> String {
        let isTerminal = onErrors ? errorsAreTerminal : outputIsTerminal
        return isTerminal && !wantsNoColor ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }

    static func write(_ text: String) { write(Array(text.utf8), to: STDOUT_FILENO) }
    static func write(bytes: [UInt8]) { write(bytes, to: STDOUT_FILENO) }
    /// Text in which a program expects JSON. A terminal gets the same values, written so that it has nothing to obey.
    static func writeJSON(_ bytes: [UInt8], end: String = "\n") {
        write(bytes: (outputIsTerminal ? harmlessJSON(bytes) : bytes) + Array(end.utf8))
    }
    static func writeJSON(_ json: JSONValue) { writeJSON(json.serialized) }

    static func note(_ text: String) { write(Array("\(text)\n".utf8), to: STDERR_FILENO) }
    static func noteWithoutEnd(_ text: String) { write(Array(text.utf8), to: STDERR_FILENO) }
    static func complain(_ text: String) { note("\(styled("tau:", .red, onErrors: true)) \(harmless(text))") }

    /// A line that a person types, on a thread that may wait for it; nil at the end of the input.
    static func readLine() async -> String? { await BlockingThreads(count: 1).run { Swift.readLine() } }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if count < 0, errno == EINTR { continue }
            // A reader that has gone away wants no more.
            guard count > 0 else { return }
            written += count
        }
    }

    /// Text of models and tools without what a terminal would obey: control characters and direction overrides.
    static func harmless(_ text: String) -> String {
        let isHarmless = text.unicodeScalars.allSatisfy { !isHarmful($0) }
        guard !isHarmless else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { result.append(isHarmful(scalar) ? "\u{FFFD}" : scalar) }
        return String(result)
    }

    /// Such characters may stand only in JSON's strings, where an escape means the same.
    static func harmlessJSON(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            guard isHarmful(scalar) else {
                result += Array(String(scalar).utf8)
                continue
            }
            let digits = String(scalar.value, radix: 16)
            result += Array("\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".utf8)
        }
        return result
    }

    private static func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09, 0x0A: false
        case 0x00...0x1F, 0x7F...0x9F, 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }

    /// A line of a table.
    static func columns(_ columns: [String], widths: [Int]) -> String {
        let padded = zip(columns, widths).map { text, width in
            text + String(repeating: " ", count: max(0, width - text.count))
        }
        return padded.joined(separator: "  ")
    }

    /// Asks before something is gone for good; ends the command where the answer is no.
    static func confirm(_ question: String, isConfirmed: Bool) throws {
        guard !isConfirmed else { return }
        guard inputIsTerminal else { throw ClientError(.usage, "--yes is needed where nobody can be asked") }
        noteWithoutEnd("\(question) [y/N] ")
        guard let answer = Swift.readLine(), ["y", "yes"].contains(answer.lowercased()) else { throw ExitCode(1) }
    }

    /// The beginning of a text, on one harmless line.
    static func line(_ text: String, _ maxLength: Int) -> String {
        var flat = harmless(text).replacing("\n", with: " ").replacing("\t", with: " ")
        if flat.count > maxLength { flat = flat.prefix(max(0, maxLength - 1)) + "…" }
        return flat
    }
}
