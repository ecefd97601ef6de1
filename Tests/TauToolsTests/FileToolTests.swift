import Glibc
import TauCore
import TauSystem
import Testing

@testable import TauTools

@Suite struct FileToolTests {
    @Test func `a file is written and read back`() async throws {
        let server = try await TestServer()
        let written = try await server.run("write", ["path": "a/b/c.txt", "content": "h\u{E9}llo\n"])
        #expect(written.text == "Wrote 7 bytes to a/b/c.txt")
        #expect(try content(of: server.workspace + "/a/b/c.txt") == "h\u{E9}llo\n")
        #expect(try await server.run("read", ["path": "a/b/c.txt"]).text == "h\u{E9}llo\n")
    }

    @Test func `a file in the way of a directory is an error`() async throws {
        let server = try await TestServer()
        _ = try await server.run("write", ["path": "a", "content": ""])
        #expect(try await server.failure("write", ["path": "a/b", "content": ""]).message.contains("not a directory"))
        #expect(try await server.failure("read", ["path": "."]).message.contains("is a directory"))
        #expect(try await server.failure("read", ["path": "none"]).message == "File not found: none")
    }

    @Test func `replacing keeps the mode without its set-id bits and leaves no temporary file`() async throws {
        let server = try await TestServer()
        try createFile(server.workspace + "/run.sh", "old")
        try #require(chmod(server.workspace + "/run.sh", 0o6750) == 0)
        let before = try fileStatus(server.workspace + "/run.sh").st_ino
        _ = try await server.run("write", ["path": "run.sh", "content": "new"])
        let status = try fileStatus(server.workspace + "/run.sh")
        #expect(status.st_mode & 0o7777 == 0o750)
        #expect(status.st_ino != before)
        #expect(try Directory(path: server.workspace).names(limit: 10) == [Array("run.sh".utf8)])
        _ = try await server.run("write", ["path": "fresh", "content": ""])
        #expect(try fileStatus(server.workspace + "/fresh").st_mode & 0o7777 == 0o644)
    }

    @Test(.enabled(if: geteuid() == 0, "only root can give files away"))
    func `what the tools make belongs to the tools' user`() async throws {
        let server = try await TestServer()
        _ = try await server.run("write", ["path": "a/b", "content": ""])
        for path in ["", "/a", "/a/b"] { #expect(try fileStatus(server.workspace + path).st_uid == 60001) }
        #expect(try fileStatus(server.workspace).st_mode & 0o777 == 0o700)
        #expect(try fileStatus(server.path + "/workspaces").st_mode & 0o777 == 0o711)
        #expect(try fileStatus(server.path + "/workspaces").st_uid == 0)
    }

    @Test func `a write that fails leaves the old file`() async throws {
        var limits = ToolLimits()
        limits.maxWriteBytes = 10
        let server = try await TestServer(limits: limits)
        _ = try await server.run("write", ["path": "f", "content": "old"])
        #expect(try await server.failure("write", ["path": "f", "content": "12345678901"]).code == .tooLarge)
        #expect(try content(of: server.workspace + "/f") == "old")
    }

    @Test func `a file that changed since it was read is not overwritten`() async throws {
        let server = try await TestServer()
        _ = try await server.run("write", ["path": "f", "content": "one"])
        let workspace = try await server.openWorkspace()
        let path = try WorkspacePath("f")
        let old = try workspace.read(path, limit: 10).status
        try createFile(server.workspace + "/f", "two!")
        let failure = #expect(throws: ToolFailure.self) { try workspace.write(path, [0x33], replacing: old) }
        #expect(failure?.message.contains("read it again") == true)
        #expect(try content(of: server.workspace + "/f") == "two!")
    }

    @Test func `edits of one batch do not undo each other`() async throws {
        let server = try await TestServer()
        let lines = (0..<20).map { "line \($0)." }
        _ = try await server.run("write", ["path": "f", "content": .string(lines.joined(separator: "\n"))])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for line in lines {
                group.addTask {
                    let new = JSONValue.string("<\(line)>")
                    _ = try await server.run("edit", ["path": "f", "oldText": .string(line), "newText": new])
                }
            }
            try await group.waitForAll()
        }
        #expect(try content(of: server.workspace + "/f") == lines.map { "<\($0)>" }.joined(separator: "\n"))
    }

    // MARK: read

    @Test func `reading goes on where the last part ended`() async throws {
        let server = try await TestServer()
        let text = (1...2500).map(String.init).joined(separator: "\n")
        _ = try await server.run("write", ["path": "f", "content": .string(text)])
        let first = try await server.run("read", ["path": "f"])
        #expect(first.text.hasSuffix("\n2000\n\n[Showing lines 1-2000 of 2500. Use offset=2001 to continue.]"))
        #expect(first.details?["truncation"]?["totalLines"]?.integer == 2500)
        let second = try await server.run("read", ["path": "f", "offset": 2001])
        #expect(second.text.hasPrefix("2001\n") && second.text.hasSuffix("\n2500"))
        #expect(second.details == nil)
        let part = try await server.run("read", ["path": "f", "offset": 11, "limit": 2])
        #expect(part.text == "11\n12\n\n[2488 more lines in file. Use offset=13 to continue.]")
        let beyond = try await server.failure("read", ["path": "f", "offset": 2501])
        #expect(beyond.message.contains("2500 lines"))
    }

    @Test func `the byte limit and a line beyond it have hints of their own`() async throws {
        let server = try await TestServer()
        let text = (1...600).map { _ in String(repeating: "x", count: 100) }.joined(separator: "\n")
        _ = try await server.run("write", ["path": "f", "content": .string(text)])
        let cut = try await server.run("read", ["path": "f"]).text
        #expect(cut.hasSuffix("[Showing lines 1-506 of 600 (50.0KB limit). Use offset=507 to continue.]"))
        _ = try await server.run("write", ["path": "g", "content": .string(String(repeating: "y", count: 60_000))])
        let hint = try await server.run("read", ["path": "g"]).text
        #expect(hint.contains("sed -n '1p' 'g' | head -c 51200") && !hint.contains("yy"))
    }

    @Test func `an image is shown as an image whatever its name`() async throws {
        var limits = ToolLimits()
        limits.maxImageBytes = 20
        let server = try await TestServer(limits: limits)
        let bytes: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 1, 2, 3]
        try createFile(server.workspace + "/picture.txt", bytes)
        let output = try await server.run("read", ["path": "picture.txt"])
        #expect(output.content.last == .image(ImageBlock(data: Base64.encode(bytes), mimeType: "image/png")))
        try createFile(server.workspace + "/big", bytes + bytes)
        #expect(try await server.failure("read", ["path": "big"]).code == .tooLarge)
    }

    @Test func `bytes that no database takes are replaced`() async throws {
        let server = try await TestServer()
        try createFile(server.workspace + "/binary", [0x61, 0x00, 0xFF, 0x62])
        #expect(try await server.run("read", ["path": "binary"]).text == "a\u{FFFD}\u{FFFD}b")
    }

    // MARK: edit

    @Test func `edit answers with a diff`() async throws {
        let server = try await TestServer()
        _ = try await server.run("write", ["path": "f", "content": "one\ntwo\n"])
        let edits: JSONValue = [["oldText": "one", "newText": "1"], ["oldText": "two", "newText": "2"]]
        let output = try await server.run("edit", ["path": "f", "edits": edits])
        #expect(output.text == "Replaced 2 texts in f")
        #expect(output.details?["firstChangedLine"]?.integer == 1)
        #expect(output.details?["diff"]?.string == "-1 one\n-2 two\n+1 1\n+2 2\n 3 ")
        #expect(try content(of: server.workspace + "/f") == "1\n2\n")
    }

    @Test func `edit takes its edits also as a string of JSON and refuses bad ones`() async throws {
        let server = try await TestServer()
        _ = try await server.run("write", ["path": "f", "content": "one"])
        let text: JSONValue = .string(#"[{"oldText":"one","newText":"two"}]"#)
        _ = try await server.run("edit", ["path": "f", "edits": text])
        #expect(try content(of: server.workspace + "/f") == "two")
        for arguments: JSONValue in [
            ["path": "f"], ["path": "f", "oldText": "", "newText": "x"], ["path": "f", "oldText": "two"],
            ["path": "f", "edits": 3], ["path": "f", "edits": []], ["path": "f", "edits": ["x"]],
        ] {
            #expect(try await server.failure("edit", arguments).code == .invalidArguments)
        }
    }
}
