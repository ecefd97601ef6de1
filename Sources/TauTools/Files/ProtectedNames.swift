internal import CUnicode
internal import TauCore

/// Names in a workspace that tools keep away from: files that tend to hold secrets, and files that make other programs
/// run something.
///
/// A pattern is a name, or names joined by slashes, and matches wherever such components follow each other in a path; `*`
/// stands for any characters within one. Names are compared in Unicode's NFKC case folding without invisible characters,
/// because a workspace may end up on a file system that takes `．ＥＮＶ` and `.env` for the same.
package struct ProtectedNames: Sendable {
    /// Neither read nor written.
    package var secrets = [
        ".env", ".env.*", ".envrc", ".git/config", ".git-credentials", ".netrc", ".pypirc", ".ssh", ".aws", ".gnupg",
        ".kube", ".docker", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks",
    ]
    /// Not secret although a pattern of `secrets` says so.
    package var exceptions = [".env.example", ".env.sample", ".env.template", ".env.dist"]
    /// Read but not written.
    package var readOnly = [".git", "node_modules/.bin"]

    package init() {}

    /// Patterns made ready for comparing.
    struct Matcher: Sendable {
        private let secrets: [[[UInt8]]]
        private let exceptions: [[[UInt8]]]
        private let readOnly: [[[UInt8]]]

        init(_ names: ProtectedNames) {
            func folded(_ patterns: [String]) -> [[[UInt8]]] {
                patterns.map { $0.utf8.split(separator: UInt8(ascii: "/")).map { ProtectedNames.folded(Array($0)) } }
            }
            secrets = folded(names.secrets)
            exceptions = folded(names.exceptions)
            readOnly = folded(names.readOnly)
        }

        /// The components of a path that tools must not even read.
        func isSecret(_ components: [[UInt8]]) -> Bool {
            let folded = Self.relevant(components)
            return Self.matches(folded, secrets) && !Self.matches(folded.suffix(1), exceptions)
        }

        /// The components of a path that searches pass by, also where an exception would let `read` see it.
        func isHidden(_ components: [[UInt8]]) -> Bool { Self.matches(Self.relevant(components), secrets) }

        /// Whether searches pass by a name in a directory that they did not pass by.
        ///
        /// Only what ends with the name is new; `directory` are the folded components on the way.
        func isHidden(_ name: [UInt8], in directory: [[UInt8]]) -> Bool {
            let folded = ProtectedNames.folded(name)
            return secrets.contains { pattern in
                guard let last = pattern.last, pattern.count <= directory.count + 1,
                    ProtectedNames.matches(folded[...], last[...])
                else { return false }
                return zip(directory.suffix(pattern.count - 1), pattern)
                    .allSatisfy { ProtectedNames.matches($0[...], $1[...]) }
            }
        }

        /// The components of a path that tools must not change.
        func isProtectedFromWriting(_ components: [[UInt8]]) -> Bool {
            Self.matches(Self.relevant(components), readOnly) || isSecret(components)
        }

        private static func relevant(_ components: [[UInt8]]) -> [[UInt8]] {
            components.filter { $0 != [UInt8(ascii: ".")] }.map(ProtectedNames.folded)
        }

        private static func matches(_ path: [[UInt8]], _ patterns: [[[UInt8]]]) -> Bool {
            patterns.contains { pattern in
                guard !pattern.isEmpty, pattern.count <= path.count else { return false }
                return (0...(path.count - pattern.count)).contains { start in
                    zip(path[start...], pattern).allSatisfy { ProtectedNames.matches($0[...], $1[...]) }
                }
            }
        }
    }

    /// In time proportional to the product of both lengths, whatever they hold.
    private static func matches(_ name: ArraySlice<UInt8>, _ pattern: ArraySlice<UInt8>) -> Bool {
        let star = UInt8(ascii: "*")
        var (nameIndex, patternIndex) = (name.startIndex, pattern.startIndex)
        // Where to go on when the characters behind the last star do not fit: it swallows one more.
        var retry: (name: Int, pattern: Int)?
        while nameIndex < name.endIndex {
            if patternIndex < pattern.endIndex, pattern[patternIndex] == star {
                retry = (nameIndex, patternIndex + 1)
                patternIndex += 1
            } else if patternIndex < pattern.endIndex, pattern[patternIndex] == name[nameIndex] {
                nameIndex += 1
                patternIndex += 1
            } else if let last = retry {
                retry = (last.name + 1, last.pattern)
                (nameIndex, patternIndex) = (last.name + 1, last.pattern)
            } else {
                return false
            }
        }
        return pattern[patternIndex...].allSatisfy { $0 == star }
    }

    /// A name as it is compared.
    static func folded(_ name: [UInt8]) -> [UInt8] {
        if name.allSatisfy({ $0 < 0x80 }) {
            return name.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
        }
        return UnicodeText.caseFolded(name) ?? name
    }
}

/// Unicode's normal forms, by utf8proc.
enum UnicodeText {
    /// NFKC_Casefold (Unicode Standard Annex 31): compatibility characters replaced, case folded, default ignorable
    /// characters removed. nil for what is not UTF-8.
    static func caseFolded(_ bytes: [UInt8]) -> [UInt8]? {
        mapped(
            bytes,
            [UTF8PROC_STABLE, UTF8PROC_COMPAT, UTF8PROC_COMPOSE, UTF8PROC_CASEFOLD, UTF8PROC_IGNORE])
    }

    /// NFKC (Unicode Standard Annex 15). nil for what is not UTF-8.
    static func compatibilityComposed(_ bytes: some Collection<UInt8>) -> [UInt8]? {
        mapped(Array(bytes), [UTF8PROC_STABLE, UTF8PROC_COMPAT, UTF8PROC_COMPOSE])
    }

    /// NFD (Unicode Standard Annex 15). nil for what is not UTF-8.
    static func decomposed(_ bytes: some Collection<UInt8>) -> [UInt8]? {
        mapped(Array(bytes), [UTF8PROC_STABLE, UTF8PROC_DECOMPOSE])
    }

    private static func mapped(_ bytes: [UInt8], _ options: [utf8proc_option_t]) -> [UInt8]? {
        var result: UnsafeMutablePointer<utf8proc_uint8_t>?
        let flags = options.reduce(0) { $0 | $1.rawValue }
        let count = utf8proc_map(bytes, bytes.count, &result, utf8proc_option_t(rawValue: flags))
        guard count >= 0, let result else { return nil }
        defer { free(result) }
        return Array(UnsafeBufferPointer(start: result, count: count))
    }
}
