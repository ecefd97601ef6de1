/// The simple commands of a shell script, as far as they can be seen without running it: quotes are taken away, nothing
/// is expanded.
///
/// It is for a courtesy, not for safety: a script can always hide what it does.
struct ShellWords {
    enum Token: Sendable, Hashable {
        case word(String)
        /// One of `; & | ( ) { } < >` or a line feed, or several of the same in a row.
        case symbol(String)
    }

    private(set) var tokens: [Token] = []

    init(_ script: String) {
        let bytes = Array(script.utf8)
        var index = 0
        var word: [UInt8]?
        func endWord() {
            if let bytes = word { tokens.append(.word(String(decoding: bytes, as: UTF8.self))) }
            word = nil
        }
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            switch byte {
            case UInt8(ascii: "\\"):
                guard index < bytes.count else { break }
                // A backslash at the end of a line joins it with the next one.
                if bytes[index] != UInt8(ascii: "\n") { word = (word ?? []) + [bytes[index]] }
                index += 1
            case UInt8(ascii: "'"), UInt8(ascii: "\""):
                let end = Self.endOfQuote(bytes, from: index, quote: byte)
                word = (word ?? []) + Self.withoutBackslashes(bytes[index..<end], in: byte)
                index = end + 1
            case UInt8(ascii: "#") where word == nil:
                index = bytes[index...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
            case UInt8(ascii: " "), UInt8(ascii: "\t"):
                endWord()
            // Of `$(…)` and `…` the parentheses and the backquote begin a command of its own.
            case UInt8(ascii: "`"), UInt8(ascii: ";"), UInt8(ascii: "&"), UInt8(ascii: "|"), UInt8(ascii: "("),
                UInt8(ascii: ")"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\n"):
                if word == [UInt8(ascii: "$")] { word = nil }
                endWord()
                tokens.append(.symbol(String(UnicodeScalar(byte))))
            default:
                word = (word ?? []) + [byte]
            }
        }
        endWord()
    }

    private static func endOfQuote(_ bytes: [UInt8], from start: Int, quote: UInt8) -> Int {
        var index = start
        while index < bytes.count, bytes[index] != quote {
            index += quote == UInt8(ascii: "\"") && bytes[index] == UInt8(ascii: "\\") ? 2 : 1
        }
        return min(index, bytes.count)
    }

    private static func withoutBackslashes(_ bytes: ArraySlice<UInt8>, in quote: UInt8) -> [UInt8] {
        guard quote == UInt8(ascii: "\"") else { return Array(bytes) }
        var isEscaped = false
        return bytes.filter { byte in
            isEscaped = byte == UInt8(ascii: "\\") && !isEscaped
            return !isEscaped
        }
    }

    /// The words of each simple command, the program first: without keywords, assignments and programs that only run
    /// another one. Where output goes (`> file`) is not among them.
    var commands: [[String]] {
        var commands: [[String]] = []
        var current: [String] = []
        var isTarget = false
        for token in tokens + [.symbol(";")] {
            switch token {
            case .symbol("<"), .symbol(">"): isTarget = true
            case .symbol:
                if let command = Self.program(current) { commands.append(command) }
                current = []
                isTarget = false
            case .word(let word):
                if !isTarget { current.append(word) }
                isTarget = false
            }
        }
        return commands
    }

    /// What follows each `>`.
    var outputs: [String] {
        zip(tokens, tokens.dropFirst()).compactMap { first, second in
            guard first == .symbol(">"), case .word(let word) = second else { return nil }
            return word
        }
    }

    private static let keywords: Set<String> = ["{", "}", "!", "if", "then", "elif", "else", "do", "while", "until"]
    private static let runners: Set<String> = [
        "sudo", "doas", "env", "nohup", "time", "exec", "command", "builtin", "nice", "ionice", "setsid", "timeout",
        "xargs",
    ]

    private static func program(_ words: [String]) -> [String]? {
        var rest = words[...]
        var isRun = false
        while let first = rest.first {
            let name = lastComponent(first)
            let isSkipped =
                keywords.contains(first) || runners.contains(name) || isAssignment(first)
                // Options and numbers of the program that runs another one.
                || isRun && (first.utf8.first == UInt8(ascii: "-") || first.utf8.allSatisfy(isDurationByte))
            guard isSkipped else { return [name] + rest.dropFirst() }
            isRun = isRun || runners.contains(name)
            rest = rest.dropFirst()
        }
        return nil
    }

    private static func lastComponent(_ path: String) -> String {
        path.utf8.split(separator: UInt8(ascii: "/")).last.map { String(decoding: $0, as: UTF8.self) } ?? path
    }

    private static func isAssignment(_ word: String) -> Bool {
        guard let sign = word.utf8.firstIndex(of: UInt8(ascii: "=")), sign != word.utf8.startIndex else { return false }
        return word.utf8[..<sign].allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || byte == UInt8(ascii: "_")
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
    }

    private static func isDurationByte(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: ".")
            || [UInt8(ascii: "s"), UInt8(ascii: "m"), UInt8(ascii: "h")].contains(byte)
    }
}
