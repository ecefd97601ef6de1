import Glibc
import Synchronization
import TauCore
import TauSystem
import TauTestKit
import Testing

@testable import TauTools

@Suite(.ownThreads) struct WorkspaceAttackTests {
    /// A workspace full of traps around `a.txt` and `sub/b.txt`.
    private func trappedServer() async throws -> TestServer {
        let server = try await TestServer()
        let workspace = server.workspace
        try createFile(workspace + "/a.txt", "inside")
        try #require(mkdir(workspace + "/sub", 0o755) == 0)
        try createFile(workspace + "/sub/b.txt", "below")
        try #require(mkdir(workspace + "-evil", 0o755) == 0)
        try createFile(workspace + "-evil/secret", "SECRET")
        let links = [
            "link": server.path + "/outside", "slink": server.path + "/outside/secret", "relative": "../../outside",
            "inlink": "sub", "abslink": workspace + "/a.txt", "loop": "loop",
            "magic": "/proc/self/root\(server.path)/outside/secret", "cwd": "/proc/self/cwd",
        ]
        for (name, target) in links { try #require(symlink(target, workspace + "/" + name) == 0) }
        try #require(mkfifo(workspace + "/fifo", 0o666) == 0)
        return server
    }

    @Test func `what lies inside can be read, also through links that stay inside`() async throws {
        let server = try await trappedServer()
        for (path, text) in [
            ("a.txt", "inside"), ("./sub/../a.txt", "inside"), ("/workspace/a.txt", "inside"),
            ("inlink/b.txt", "below"),
        ] {
            #expect(try await server.run("read", ["path": .string(path)]).text == text)
        }
    }

    @Test func `nothing outside can be read, written or edited`() async throws {
        let server = try await trappedServer()
        for path in [
            "../outside/secret", "../../outside/secret", "sub/../../../outside/secret", "../session-1-evil/secret",
            "link/secret", "slink", "relative/secret", "abslink", "magic", "cwd/a.txt", "loop", "../\u{301}x", "..",
            "a.txt/", "a.txt/../a.txt", "\(server.path)/outside/secret", "../session-1/a.txt",
        ] {
            let read = try await server.failure("read", ["path": .string(path)])
            #expect(!read.message.contains("SECRET"))
            _ = try await server.failure("edit", ["path": .string(path), "oldText": "SECRET", "newText": "x"])
        }
        for path in [
            "../outside/secret", "link/secret", "relative/secret", "link/new/file", "../new", "..", ".", "cwd/x",
            "inlink/new",
        ] {
            _ = try await server.failure("write", ["path": .string(path), "content": "x"])
        }
        #expect(try content(of: server.path + "/outside/secret") == "SECRET")
        #expect(access(server.path + "/outside/new", F_OK) != 0)
        #expect(access(server.path + "/workspaces/new", F_OK) != 0)
        // A link on the way is refused when writing, even if it stays inside.
        #expect(access(server.workspace + "/sub/new", F_OK) != 0)
    }

    @Test func `a link in the place of a written file is replaced and not followed`() async throws {
        let server = try await trappedServer()
        try #require(symlink(server.path + "/outside/new", server.workspace + "/dangling") == 0)
        for name in ["dangling", "slink"] {
            _ = try await server.run("write", ["path": .string(name), "content": "mine"])
            #expect(try content(of: server.workspace + "/" + name) == "mine")
        }
        #expect(access(server.path + "/outside/new", F_OK) != 0)
        #expect(try content(of: server.path + "/outside/secret") == "SECRET")
    }

    @Test func `a hard link is not written`() async throws {
        let server = try await trappedServer()
        try #require(link(server.path + "/outside/secret", server.workspace + "/hard") == 0)
        let failure = try await server.failure("write", ["path": "hard", "content": "mine"])
        #expect(failure.code == .denied)
        #expect(try content(of: server.path + "/outside/secret") == "SECRET")
        #expect(try content(of: server.workspace + "/hard") == "SECRET")
    }

    @Test(.timeLimit(.minutes(1))) func `a FIFO is refused without waiting for a writer`() async throws {
        let server = try await trappedServer()
        // Waiting would last for ever: nobody writes.
        let failure = try await server.failure("read", ["path": "fifo"])
        #expect(failure.message.contains("not a regular file"))
        _ = try await server.failure("write", ["path": "fifo", "content": "x"])
    }

    @Test(.enabled(if: geteuid() == 0, "only root can make a device")) func `a device is refused`() async throws {
        let server = try await trappedServer()
        try #require(mknod(server.workspace + "/zero", S_IFCHR | 0o666, 1 << 8 | 5) == 0)
        #expect(try await server.failure("read", ["path": "zero"]).message.contains("not a regular file"))
    }

    @Test func `a huge sparse file is refused without being read`() async throws {
        let server = try await trappedServer()
        try createFile(server.workspace + "/huge", "x")
        try #require(truncate(server.workspace + "/huge", 1 << 40) == 0)
        #expect(try await server.failure("read", ["path": "huge"]).code == .tooLarge)
    }

    @Test func `no read or write gets out while a directory and a link change places`() async throws {
        let server = try await TestServer()
        let base = server.workspace
        try #require(mkdir(base + "/d", 0o777) == 0)
        try createFile(base + "/d/secret", "inside")
        try #require(symlink(server.path + "/outside", base + "/l") == 0)
        let isOver = Atomic(false)
        let attackerIsDone = EndSignal()
        let attacked = try Directory(path: base)
        try SystemThread.start {
            while !isOver.load(ordering: .relaxed) {
                try? attacked.exchange(Array("d".utf8), with: Array("l".utf8))
            }
            attackerIsDone.set()
        }
        let workspace = try await server.openWorkspace()
        let path = try WorkspacePath("d/secret")
        let target = try WorkspacePath("d/written")
        var (inside, refused, leaked) = (0, 0, 0)
        for attempt in 0..<100_000 {
            do {
                let bytes = try workspace.read(path, limit: 100).bytes
                if bytes == Array("inside".utf8) { inside += 1 } else { leaked += 1 }
            } catch {
                refused += 1
            }
            if attempt % 100 == 0 { try? workspace.write(target, [0x78]) }
        }
        // The race is one that can be won: who looks at the path first and opens it then gets out.
        var attempts = 0
        while attempts < 1_000_000, !wasFooled(path: base + "/d/secret", within: base) { attempts += 1 }
        isOver.store(true, ordering: .relaxed)
        await attackerIsDone.wait()
        #expect(attempts < 1_000_000)
        #expect(leaked == 0)
        #expect(access(server.path + "/outside/written", F_OK) != 0)
        // Otherwise there was no race.
        #expect(inside > 0 && refused > 0)
    }
}

/// Lets a test wait for a thread of its own.
private final class EndSignal: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() { (stream, continuation) = AsyncStream.makeStream() }

    func set() { continuation.finish() }
    func wait() async { for await _ in stream {} }
}

/// Resolves the path, compares it with where it should lie, and opens it: what many servers do.
private func wasFooled(path: String, within base: String) -> Bool {
    guard let resolved = realpath(path, nil) else { return false }
    defer { free(resolved) }
    guard String(cString: resolved).hasPrefix(base + "/") else { return false }
    return (try? content(of: path)) == "SECRET"
}
