internal import TauSystem

/// What the `.gitignore` files from the workspace down to one directory leave out (gitignore(5)).
struct IgnoreRules: Sendable {
    private struct Rule: Sendable {
        var pattern: GlobPattern
        var isExclusion: Bool
        var isForDirectoriesOnly: Bool
        /// Compared with the path from the file's directory, and not with the name alone.
        var isAnchored: Bool
    }

    /// One file's rules, and how many components its directory has.
    private struct File: Sendable {
        var depth: Int
        var rules: [Rule]
    }

    private var files: [File] = []

    static let none = IgnoreRules()
    static let fileName = Array(".gitignore".utf8)
    private static let maxFileBytes = 1 << 20
    private static let maxRules = 10_000

    /// Whether nothing is left out.
    var isEmpty: Bool { files.isEmpty }

    /// With what a directory's own file adds. `depth` is the number of components of the directory's path.
    func adding(_ directory: Directory, depth: Int) -> IgnoreRules {
        guard let file = try? directory.openFile(Self.fileName, links: .refused),
            let status = try? file.status(), status.kind == .regular,
            let bytes = try? file.readAll(limit: Self.maxFileBytes)
        else { return self }
        return adding(bytes, depth: depth)
    }

    func adding(_ text: [UInt8], depth: Int) -> IgnoreRules {
        let lines = text.split(separator: UInt8(ascii: "\n")).prefix(Self.maxRules)
        let rules = lines.compactMap { Self.rule(Array($0)) }
        guard !rules.isEmpty else { return self }
        var result = self
        result.files.append(File(depth: depth, rules: rules))
        return result
    }

    /// Whether a path is left out. Its directories are not, or nobody would ask.
    func ignores(_ components: [[UInt8]], isDirectory: Bool) -> Bool {
        guard let name = components.last else { return false }
        for file in files.reversed() where file.depth < components.count {
            let path = Array(components[file.depth...].joined(separator: [UInt8(ascii: "/")]))
            // The last rule that matches decides, and a deeper file goes before those above it.
            let rule = file.rules.last { rule in
                (isDirectory || !rule.isForDirectoriesOnly) && rule.pattern.matches(rule.isAnchored ? path : name)
            }
            if let rule { return rule.isExclusion }
        }
        return false
    }

    private static func rule(_ line: [UInt8]) -> Rule? {
        var line = line
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        while line.last == UInt8(ascii: " "), line.dropLast().last != UInt8(ascii: "\\") { line.removeLast() }
        guard let first = line.first, first != UInt8(ascii: "#") else { return nil }
        let isExclusion = first != UInt8(ascii: "!")
        if !isExclusion { line.removeFirst() }
        let isForDirectoriesOnly = line.last == UInt8(ascii: "/")
        if isForDirectoriesOnly { line.removeLast() }
        let isAnchored = line.contains(UInt8(ascii: "/"))
        if line.first == UInt8(ascii: "/") { line.removeFirst() }
        guard !line.isEmpty else { return nil }
        return Rule(
            pattern: GlobPattern(line), isExclusion: isExclusion, isForDirectoriesOnly: isForDirectoriesOnly,
            isAnchored: isAnchored)
    }
}
