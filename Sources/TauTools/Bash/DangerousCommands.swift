/// Commands that are refused before they are tried, so that a model that is about to do great harm gets a clear word.
///
/// A courtesy: whoever means harm finds other words for it. What protects is the sandbox.
enum DangerousCommands {
    /// Why the script is refused; nil if nothing of the kind is seen in it.
    static func problem(in script: String) -> String? {
        let words = ShellWords(script)
        if let device = words.outputs.first(where: isDisk) { return "it would overwrite the device \(device)" }
        if isForkBomb(words.tokens) { return "it would start processes without end (a fork bomb)" }
        for command in words.commands {
            if let problem = problem(command) { return problem }
        }
        return nil
    }

    private static func problem(_ command: [String]) -> String? {
        let arguments = Array(command.dropFirst())
        switch command[0] {
        case "rm" where isRecursive(arguments):
            if arguments.contains("--no-preserve-root") { return "it would remove everything" }
            return arguments.first(where: isWhole).map { "it would remove all of \($0)" }
        case "chmod" where isRecursive(arguments), "chown" where isRecursive(arguments):
            return arguments.first(where: isWhole).map { "it would change the rights of all of \($0)" }
        case "dd": return problem(ofCopy: arguments)
        case "shred", "wipefs", "fdisk", "sfdisk", "parted", "blkdiscard":
            return arguments.first(where: isDisk).map { "it would overwrite the device \($0)" }
        case "mkswap", "mke2fs": return "it would format a disk"
        case let name where name == "mkfs" || name.hasPrefix("mkfs."): return "it would format a disk"
        case "shutdown", "reboot", "halt", "poweroff": return "it would stop the machine"
        default: return nil
        }
    }

    /// Copies without an end, or onto a disk.
    private static func problem(ofCopy arguments: [String]) -> String? {
        if let disk = arguments.first(where: { $0.hasPrefix("of=") && isDisk(String($0.dropFirst(3))) }) {
            return "it would overwrite the device \(disk.dropFirst(3))"
        }
        let isEndless = arguments.contains { argument in
            ["if=/dev/zero", "if=/dev/urandom", "if=/dev/random", "if=/dev/full"].contains(argument)
        }
        let isBounded = arguments.contains { $0.hasPrefix("count=") } || arguments.contains("of=/dev/null")
        return isEndless && !isBounded ? "it would fill the disk; give dd a count=" : nil
    }

    private static func isRecursive(_ arguments: [String]) -> Bool {
        arguments.contains { argument in
            if argument == "--recursive" { return true }
            guard argument.hasPrefix("-"), !argument.hasPrefix("--") else { return false }
            return argument.utf8.contains(UInt8(ascii: "r")) || argument.utf8.contains(UInt8(ascii: "R"))
        }
    }

    private static let system: Set<String> = [
        "", "bin", "boot", "dev", "etc", "home", "lib", "lib64", "opt", "proc", "root", "sbin", "srv", "sys", "usr",
        "var", "workspace",
    ]

    /// The root, one of its directories, or everything of the user's.
    private static func isWhole(_ path: String) -> Bool {
        if ["~", "~/", "~/*", "$HOME", "${HOME}", "$HOME/", "$HOME/*", "${HOME}/*"].contains(path) { return true }
        guard path.utf8.first == UInt8(ascii: "/") else { return false }
        let components = path.utf8.split(separator: UInt8(ascii: "/")).map { String(decoding: $0, as: UTF8.self) }
            .filter { $0 != "." && $0 != "*" && $0 != ".*" }
        return components.count < 2 && system.contains(components.first ?? "")
    }

    private static func isDisk(_ path: String) -> Bool {
        ["/dev/sd", "/dev/hd", "/dev/vd", "/dev/xvd", "/dev/nvme", "/dev/mmcblk", "/dev/disk/", "/dev/mapper/"]
            .contains { path.hasPrefix($0) }
    }

    /// A function that starts itself on both sides of a pipe: `f() { f | f & }`.
    private static func isForkBomb(_ tokens: [ShellWords.Token]) -> Bool {
        for index in tokens.indices.dropLast(2) {
            guard case .word(let name) = tokens[index], tokens[index + 1] == .symbol("("),
                tokens[index + 2] == .symbol(")")
            else { continue }
            let body = tokens[(index + 3)...].filter { token in
                guard case .word(let word) = token else { return true }
                return word != "{" && word != "function"
            }
            .map { token -> ShellWords.Token in
                // `{f` is a word of its own to this reader.
                guard case .word(let word) = token, word.hasPrefix("{") else { return token }
                return .word(String(word.dropFirst()))
            }
            let itself = ShellWords.Token.word(name)
            if body.starts(with: [itself, .symbol("|"), itself]) { return true }
        }
        return false
    }
}
