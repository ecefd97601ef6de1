import Glibc
import TauCore
import TauSystem
import Testing

@testable import TauTools

@Suite(.enabled(if: TestServer.hasSandbox, "bubblewrap is not installed"), .timeLimit(.minutes(2)))
struct WorkspaceQuotaTests {
    private static let megabyte = 1 << 20

    private func server(megabytes: Int = 16, files: Int = 1000) async throws -> TestServer {
        var limits = ToolLimits()
        limits.maxWorkspaceBytes = megabytes * Self.megabyte
        limits.maxWorkspaceFiles = files
        limits.quotaIntervalMilliseconds = 10
        return try await TestServer(limits: limits)
    }

    private func used(_ server: TestServer) throws -> Int64 {
        let usage = try Directory(path: server.workspace)
            .usage(maxFiles: 1_000_000, isStopped: { false })
        return try #require(usage).bytes
    }

    @Test(arguments: [
        // Many files, each within the bound of one.
        "for i in {1..1000}; do head -c 1M /dev/zero > f$i; sleep 0.01; done",
        // Open files without a name.
        "for i in {10..200}; do exec {fd}> f; rm f; head -c 1M /dev/zero >&$fd; sleep 0.01; done",
        // While directories come and go under the eyes of who measures.
        "(while :; do mkdir -p a/b/c; rmdir -p a/b/c; done 2> /dev/null) & for i in {1..1000}; do head -c 1M /dev/zero > f$i; sleep 0.01; done",
        // Deep down.
        "for i in {1..40}; do mkdir d; cd d; done; for i in {1..1000}; do head -c 1M /dev/zero > f$i; sleep 0.01; done",
    ])
    func `a command that fills the workspace is stopped`(command: String) async throws {
        let server = try await server()
        let failure = try await server.failure("bash", ["command": .string("echo begun; \(command); sleep 100")])
        #expect(failure.code == .quotaExceeded)
        #expect(failure.message == "begun\n\nCommand stopped: the workspace may hold 16.0MB")
        #expect(try used(server) < 200 * 1 << 20)
    }

    @Test(arguments: ["for i in {1..5000}; do : > f$i; done", "mkdir d; for i in {1..5000}; do ln -s x d/$i; done"])
    func `too many files are stopped, too`(command: String) async throws {
        let server = try await server()
        let failure = try await server.failure("bash", ["command": .string("\(command); sleep 100")])
        #expect(failure == ToolFailure(.quotaExceeded, "Command stopped: the workspace may hold 1000 files"))
    }

    @Test func `directories may not hide what lies below them`() async throws {
        let server = try await server()
        let failure = try await server.failure(
            "bash", ["command": "for i in {1..300}; do mkdir d; cd d; done; sleep 100"])
        #expect(
            failure
                == ToolFailure(.quotaExceeded, "Command stopped: directories are nested more than 256 levels deep"))
    }

    @Test func `short commands add up`() async throws {
        let server = try await server()
        var codes: [ToolFailure.Code] = []
        for number in 1...60 where codes.isEmpty {
            do { _ = try await server.bash("head -c 1M /dev/zero > f\(number)") } catch let failure as ToolFailure {
                codes.append(failure.code)
            }
        }
        #expect(codes == [.quotaExceeded])
    }

    @Test func `a full workspace can be cleared but takes nothing more`() async throws {
        let server = try await server()
        _ = try await server.failure(
            "bash", ["command": "for i in {1..100}; do head -c 1M /dev/zero > f$i; done; sleep 100"])
        let before = try used(server)
        // The size limit ends whoever writes; an empty file may be one too many already.
        let refused = try await server.failure("bash", ["command": "cp f1 more"])
        #expect([.failed, .quotaExceeded].contains(refused.code))
        #expect(refused.message.contains("[The workspace is full: commands can take files away"))
        #expect(try used(server) <= before + 65_536)
        #expect(try await server.failure("write", ["path": "more", "content": "x"]).code == .tooLarge)
        #expect(try await server.bash("rm -f f* more; ls").hasPrefix("(no output)"))
        #expect(try await server.bash("echo room > more; cat more") == "room")
        _ = try await server.run("write", ["path": "yet-more", "content": "x"])
    }

    @Test func `write and edit stay within the quota`() async throws {
        let server = try await server(megabytes: 2)
        let part = JSONValue.string(String(repeating: "x", count: 600_000))
        // The same file again takes no more room.
        for _ in 0..<5 { _ = try await server.run("write", ["path": "one", "content": part]) }
        for name: JSONValue in ["two", "three"] { _ = try await server.run("write", ["path": name, "content": part]) }
        let failure = try await server.failure("write", ["path": "four", "content": part])
        #expect(failure.code == .tooLarge)
        #expect(
            failure.message
                == "Nothing was written: the workspace may hold 2.0MB. Remove what is not needed first")
        #expect(try content(of: server.workspace + "/four") == nil)
    }

    @Test func `a disk that is almost full is left alone`() async throws {
        var limits = ToolLimits()
        limits.minFreeDiskBytes = 1 << 60
        let server = try await TestServer(limits: limits)
        #expect(try await server.failure("write", ["path": "x", "content": "y"]).message.contains("are kept free"))
        #expect(try await server.failure("bash", ["command": "sleep 100"]).code == .quotaExceeded)
    }

    @Test func `what a file takes up counts, and once`() async throws {
        let server = try await TestServer()
        _ = try await server.bash("truncate -s 1T holes; head -c 1M /dev/urandom > one; ln one two; ln -s one three")
        let usage = try Directory(path: server.workspace)
            .usage(maxFiles: 1000, isStopped: { false })
        #expect(usage?.files == 4)
        #expect((1_048_576...1_100_000).contains(usage?.bytes ?? 0))
        // It stops when told to.
        let stopped = try Directory(path: server.path)
            .usage(maxFiles: 1000, isStopped: { true })
        #expect(stopped?.files == 2)
    }
}
