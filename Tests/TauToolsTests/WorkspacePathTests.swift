import TauCore
import Testing

@testable import TauTools

@Suite struct WorkspacePathTests {
    @Test(arguments: [
        ("a.txt", "a.txt"), ("@a.txt", "a.txt"), ("./sub/../a.txt", "./sub/../a.txt"), ("..foo", "..foo"), (".", "."),
        ("/workspace", "."), ("/workspace/", "."), ("/workspace/a/b", "a/b"), ("/workspace//etc/passwd", "etc/passwd"),
        ("@/workspace/a", "a"), ("~/x", "~/x"), ("%2e%2e%2fx", "%2e%2e%2fx"), ("$HOME", "$HOME"),
    ])
    func `a path is taken as it is, relative to the workspace`(input: String, expected: String) throws {
        #expect(try WorkspacePath(input).bytes == Array(expected.utf8))
    }

    @Test(arguments: [
        "", "@", "a\0b", "a\nb", "a\r\nb", "\u{7F}", String(repeating: "a", count: 256),
        String(repeating: "a/", count: 129) + "b", String(repeating: "a/", count: 2100),
    ])
    func `a path that no file should have is refused`(input: String) {
        let failure = #expect(throws: ToolFailure.self) { try WorkspacePath(input) }
        #expect(failure?.code == .invalidArguments)
    }

    @Test func `overlong and broken UTF-8 is refused`() {
        #expect(throws: ToolFailure.self) { try WorkspacePath(bytes: [0x2E, 0x2E, 0xC0, 0xAF, 0x78]) }
        #expect(throws: ToolFailure.self) { try WorkspacePath(bytes: [0x61, 0xFF]) }
    }

    @Test(arguments: ["/etc/hostname", "//etc/hostname", "/workspace-evil/s", "/workspaces", "/workspac", "/"])
    func `an absolute path outside of the workspace is refused`(input: String) {
        let failure = #expect(throws: ToolFailure.self) { try WorkspacePath(input) }
        #expect(failure?.code == .denied)
    }

    @Test func `a slash with an accent on it is still a slash`() throws {
        let path = try WorkspacePath("../\u{301}x")
        #expect(path.directoryAndName?.directory == [[0x2E, 0x2E]])
    }

    @Test func `paths are compared as bytes`() throws {
        #expect(try WorkspacePath("caf\u{E9}") != WorkspacePath("cafe\u{301}"))
    }
}
