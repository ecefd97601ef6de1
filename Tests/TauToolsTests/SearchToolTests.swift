import Glibc
import TauCore
import TauSystem
import TauTestKit
import Testing

@testable import TauTools

@Suite(.timeLimit(.minutes(2))) struct SearchToolTests {
    /// A workspace with what searches have to get right.
    private func filledServer(usesRipgrep: Bool = true, limits: ToolLimits = ToolLimits()) async throws -> TestServer {
        let server = try await TestServer(limits: limits, usesRipgrep: usesRipgrep)
        let files = [
            "a.txt": "one\nneedle two\nthree\nfour\nneedle five\nsix\n",
            "B.swift": "let needle = 1 // Ärger\r\nlet other = 2\n",
            "src/deep/c.txt": "no\nNEEDLE\n",
            "src/ignored.log": "needle\n", "src/.gitignore": "*.log\n!kept.log\n/build/\n",
            "src/kept.log": "needle kept\n",
            "src/build/x.txt": "needle\n", "src/deep/build/x.txt": "needle deep\n",
            ".gitignore": "*.tmp\n# a comment\ntarget/\ndocs/**/draft.md\n", "x.tmp": "needle\n",
            "target/t": "needle\n",
            "docs/a/b/draft.md": "needle\n", "docs/a/b/final.md": "needle\n", ".hidden/h": "needle\n",
            ".git/HEAD": "needle\n", ".env": "needle=SECRET\n", "src/deep/.env.local": "needle\n",
            "key.pem": "needle\n",
            ".env.example": "needle\n", "binary": "needle\nabc\0def\n",
            "long": "needle" + String(repeating: "x", count: 600),
            "node_modules/.bin/tool": "needle\n",
            "letters": "ü\nЖи\n٣\nx\u{A0}x\nx\u{3000}x\nx\u{200B}x\nⓐ\n…\n\\w]\nⅧ\nx-ü\n",
        ]
        for (path, text) in files {
            var directory = server.workspace
            for part in path.split(separator: "/").dropLast() {
                directory += "/" + part
                try #require(mkdir(directory, 0o755) == 0 || errno == EEXIST)
            }
            try createFile(server.workspace + "/" + path, text)
        }
        try #require(symlink(server.path + "/outside", server.workspace + "/link") == 0)
        return server
    }

    private static let searches: [JSONValue] = [
        ["pattern": "needle"], ["pattern": "needle", "ignoreCase": true], ["pattern": "^needle (two|five)$"],
        ["pattern": "needle", "path": "src"], ["pattern": "needle", "path": "a.txt", "context": 1],
        ["pattern": "needle", "context": 2], ["pattern": "need.e", "literal": true],
        ["pattern": "needle", "glob": "*.md"],
        ["pattern": "needle", "glob": "!*.md"], ["pattern": "needle", "glob": "src/**/*.txt"],
        ["pattern": "needle", "glob": "*.{swift,md}"], ["pattern": "ärger", "ignoreCase": true],
        ["pattern": "nothing at all"], ["pattern": "needle", "path": "docs/a"], ["pattern": "two$"],
        ["pattern": "\\bkept\\b"], ["pattern": "[a-z]+ = \\d"],
        // Beyond ASCII, and what only looks like a class.
        ["pattern": "^\\w+$"], ["pattern": "^\\W+$"], ["pattern": "^[\\w-]+$"], ["pattern": "^\\d$"],
        ["pattern": "\\D"],
        ["pattern": "x\\sx"], ["pattern": "x[\\s]x"], ["pattern": "x\\Sx"], ["pattern": "[^\\w\\s]"],
        ["pattern": "[]\\d]"], ["pattern": "[^]\\d]"], ["pattern": "[[:alpha:]\\d]x"], ["pattern": "\\\\w"],
        ["pattern": "a)(b"], ["pattern": "needle)|(x"],
        ["pattern": "", "path": "src/deep/c.txt", "literal": false],
        ["pattern": "SECRET"], ["pattern": "SECRET", "glob": ".env"], ["pattern": "SECRET", "path": "link"],
        ["pattern": "a(b"], ["pattern": "needle", "path": "missing"], ["pattern": "needle", "path": ".env"],
        ["pattern": "needle", "path": ".env.example"], ["pattern": "needle", "path": "src/deep"],
        ["pattern": "needle", "glob": "*.pem"],
    ]

    @Test(.enabled(if: TestServer.hasSandbox && Ripgrep.installed != nil, "ripgrep and bubblewrap are needed"))
    func `with and without ripgrep the results are the same`() async throws {
        let with = try await filledServer()
        let without = try await filledServer(usesRipgrep: false)
        for search in Self.searches {
            let (first, second) = (try await answer(with, search), try await answer(without, search))
            #expect(first == second, "\(search.text)")
            #expect(!first.contains("SECRET"))
        }
        // The comparison would also hold if both found nothing.
        #expect(try await answer(with, Self.searches[0]).split(separator: "\n").count > 8)
    }

    private func answer(_ server: TestServer, _ arguments: JSONValue) async throws -> String {
        do {
            return try await server.run("grep", arguments).text
        } catch let failure as ToolFailure {
            return "\(failure.code): \(failure.message)"
        }
    }

    @Test(arguments: [true, false]) func `matches are shown with path, line and neighbours`(usesRipgrep: Bool)
        async throws
    {
        let server = try await filledServer(usesRipgrep: usesRipgrep)
        let output = try await server.run("grep", ["pattern": "needle", "path": "a.txt", "context": 1])
        #expect(
            output.text == """
                a.txt-1- one
                a.txt:2: needle two
                a.txt-3- three
                a.txt-4- four
                a.txt:5: needle five
                a.txt-6- six
                """)
        let all = try await server.run("grep", ["pattern": "needle"])
        let paths = all.text.split(separator: "\n").compactMap { $0.split(separator: ":").first }
        #expect(
            paths.filter { !$0.hasPrefix("[") } == [
                ".hidden/h", "B.swift", "a.txt", "a.txt", "docs/a/b/final.md", "long", "node_modules/.bin/tool",
                "src/deep/build/x.txt", "src/kept.log",
            ])
        #expect(all.details?["linesTruncated"] == true)
    }

    @Test(arguments: [true, false]) func `the limit is global and said`(usesRipgrep: Bool) async throws {
        let server = try await filledServer(usesRipgrep: usesRipgrep)
        let output = try await server.run("grep", ["pattern": "needle [a-z]", "limit": 3])
        #expect(output.text.hasSuffix("[3 matches limit reached. Use limit=6 for more, or a narrower pattern]"))
        #expect(output.details?["matchLimitReached"]?.integer == 3)
        #expect(output.text.split(separator: "\n").count { $0.contains("needle") } == 3)
    }

    @Test func `an expression that makes backtracking engines hang is no trouble`() async throws {
        let server = try await filledServer(usesRipgrep: false)
        try createFile(server.workspace + "/trap", String(repeating: "a", count: 100_000))
        let begin = monotonicMilliseconds()
        let output = try await server.run("grep", ["pattern": "(a+)+b$", "path": "trap"])
        #expect(output.text == "No matches found")
        #expect(monotonicMilliseconds() - begin < 10_000)
    }

    @Test func `files are found by name or path`() async throws {
        let server = try await filledServer()
        func find(_ arguments: JSONValue) async throws -> [String] {
            try await server.run("find", arguments).text.split(separator: "\n").map(String.init)
        }
        #expect(try await find(["pattern": "*.txt"]) == ["a.txt", "src/deep/build/x.txt", "src/deep/c.txt"])
        #expect(try await find(["pattern": "src/**/*.txt"]) == ["src/deep/build/x.txt", "src/deep/c.txt"])
        #expect(try await find(["pattern": "**/*.log"]) == ["src/kept.log"])
        #expect(try await find(["pattern": "build"]) == ["src/deep/build/"])
        #expect(try await find(["pattern": "b.*"]) == ["B.swift"])
        #expect(try await find(["pattern": "B.*"]) == ["B.swift"])
        #expect(try await find(["pattern": "B.S*"]) == ["No files found matching pattern"])
        #expect(try await find(["pattern": "*", "path": "docs/a"]) == ["b/", "b/final.md"])
        #expect(try await find(["pattern": ".env*"]) == ["No files found matching pattern"])
        #expect(try await find(["pattern": "HEAD"]) == ["No files found matching pattern"])
        let limited = try await server.run("find", ["pattern": "*", "limit": 2])
        #expect(limited.text.hasSuffix("[2 results limit reached. Use limit=4 for more]"))
        #expect(
            try await server.failure("find", ["pattern": "*", "path": "a.txt"]).message == "a.txt is not a directory")
        #expect(try await server.failure("find", ["pattern": "*", "path": "../outside"]).code == .denied)
    }

    @Test func `a directory is listed in the order of its names`() async throws {
        let server = try await filledServer()
        let output = try await server.run("ls", [:])
        #expect(
            output.text.split(separator: "\n").map(String.init) == [
                ".env", ".env.example", ".git/", ".gitignore", ".hidden/", "a.txt", "B.swift", "binary", "docs/",
                "key.pem",
                "letters", "link", "long", "node_modules/", "src/", "target/", "x.tmp",
            ])
        #expect(try await server.run("ls", ["path": "src", "limit": 1]).text.hasSuffix("Use limit=2 for more]"))
        try #require(mkdir(server.workspace + "/empty", 0o755) == 0)
        #expect(try await server.run("ls", ["path": "empty"]).text == "(empty directory)")
        #expect(try await server.failure("ls", ["path": "a.txt"]).message == "Not a directory: a.txt")
        #expect(try await server.failure("ls", ["path": "nowhere"]).message == "File not found: nowhere")
        #expect(try await server.failure("ls", ["path": "link"]).code == .denied)
    }

    /// Random trees and random rules, against ripgrep's own reading of them.
    @Test(.enabled(if: TestServer.hasSandbox && Ripgrep.installed != nil, "ripgrep and bubblewrap are needed"))
    func `ignore files mean what ripgrep takes them to mean`() async throws {
        var random = SeededGenerator(seed: 5)
        let names = ["a", "b", "ab", "a.c", "b.c", "x y", "ü", ".h"]
        let parts = ["a", "b", "*", "?", "**", "[ab]", "[!a]", "*.c", "ab", "ü", "a*", "\\*", "{a,b}", ".h", "x\\ y"]
        for round in 0..<15 {
            let (with, without) = (try await TestServer(), try await TestServer(usesRipgrep: false))
            var written: [String] = []
            for server in [with, without] {
                var generator = SeededGenerator(seed: UInt64(round))
                written = try makeTree(server.workspace, names, parts, &generator)
            }
            let (first, second) = (
                try await answer(with, ["pattern": "x", "limit": 1000]),
                try await answer(without, ["pattern": "x", "limit": 1000])
            )
            #expect(first == second, "\(written)")
            let glob = JSONValue.string((random.next() % 2 == 0 ? "!" : "") + Self.pattern(parts, &random))
            let arguments: JSONValue = ["pattern": "x", "limit": 1000, "glob": glob]
            #expect(
                try await answer(with, arguments) == (try await answer(without, arguments)), "\(glob.text) \(written)")
        }
    }

    private func makeTree(
        _ path: String, _ names: [String], _ parts: [String], _ random: inout SeededGenerator, depth: Int = 0
    ) throws -> [String] {
        var written: [String] = []
        if depth == 0 || random.next() % 3 == 0 {
            let rules = (0..<(random.next() % 4)).map { _ in
                (random.next() % 4 == 0 ? "!" : "") + Self.pattern(parts, &random) + (random.next() % 4 == 0 ? "/" : "")
            }
            try createFile(path + "/.gitignore", rules.joined(separator: "\n"))
            written.append("\(path.suffix(20)): \(rules)")
        }
        for name in names where random.next() % 2 == 0 {
            if depth < 3, random.next() % 3 == 0 {
                try #require(mkdir("\(path)/\(name)", 0o755) == 0)
                written += try makeTree("\(path)/\(name)", names, parts, &random, depth: depth + 1)
            } else {
                try createFile("\(path)/\(name)", "x")
            }
        }
        return written
    }

    private static func pattern(_ parts: [String], _ random: inout SeededGenerator) -> String {
        let count = Int(random.next() % 3) + 1
        let names = (0..<count).map { _ in parts[Int(random.next() % UInt64(parts.count))] }
        return (random.next() % 4 == 0 ? "/" : "") + names.joined(separator: "/")
    }

    @Test(arguments: [
        ("*.txt", "a.txt", true), ("*.txt", "a.txt.b", false), ("a/**/b", "a/b", true), ("a/**/b", "a/x/y/b", true),
        ("a/**/b", "axb", false), ("**/b", "xb", false), ("**/b", "x/b", true), ("a/**", "a", false),
        ("a/**", "a/b/c", true),
        ("a?c", "aüc", true), ("a?c", "a/c", false), ("*", "a/b", false), ("[a-c]x", "bx", true),
        ("[!a-c]x", "bx", false),
        ("{a,b{c,d}}", "bd", true), ("{a,b}", "c", false), ("\\*", "*", true), ("[", "[", true), ("a**b", "axxb", true),
    ]) func `globs`(pattern: String, path: String, matches: Bool) {
        #expect(GlobPattern(Array(pattern.utf8)).matches(Array(path.utf8)) == matches)
    }

    @Test func `a hostile glob takes no time`() {
        let pattern = GlobPattern(Array(String(repeating: "*a", count: 200).utf8))
        let begin = monotonicMilliseconds()
        #expect(!pattern.matches(Array(repeating: UInt8(ascii: "a"), count: 190)))
        #expect(GlobPattern(Array(String(repeating: "{a,b}", count: 100).utf8)).matches([0x61]) == false)
        #expect(monotonicMilliseconds() - begin < 10_000)
    }
}
