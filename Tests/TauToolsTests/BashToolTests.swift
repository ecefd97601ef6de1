import Glibc
import Synchronization
import TauCore
import TauSystem
import Testing

@testable import TauTools

@Suite(.enabled(if: TestServer.hasSandbox, "bubblewrap is not installed"), .timeLimit(.minutes(2)))
struct BashToolTests {
    @Test func `a command's output is answered, both streams in their order`() async throws {
        let server = try await TestServer()
        #expect(try await server.bash("echo one; echo two >&2; printf three") == "one\ntwo\nthree")
        #expect(try await server.bash("true") == "(no output)")
        let dirty = try await server.bash("printf 'a\\000b\\033[1m\\377\\r\\n\\tc'")
        #expect(dirty == "a\u{FFFD}b\u{FFFD}[1m\u{FFFD}\n\tc")
    }

    @Test(arguments: [
        ("echo so far; exit 3", 3), ("echo so far; kill -TERM $$", 143), ("echo so far; nothing-here 2>&-", 127),
    ])
    func `a failed command is an error with its output and its code`(command: String, code: Int) async throws {
        let server = try await TestServer()
        let failure = try await server.failure("bash", ["command": .string(command)])
        #expect(failure == ToolFailure(.failed, "so far\n\nCommand exited with code \(code)"))
    }

    @Test func `the workspace is all that a command can change, and it lasts`() async throws {
        let server = try await TestServer()
        _ = try await server.run("write", ["path": "in", "content": "from the server"])
        #expect(try await server.bash("pwd; cat in; echo from the sandbox > out") == "/workspace\nfrom the server")
        #expect(try await server.run("read", ["path": "out"]).text == "from the sandbox\n")
        let attempts = "/x /usr/x /etc/x /dev/x /proc/sys/kernel/core_pattern /proc/sysrq-trigger /root/x /home/x"
        let written = try await server.bash("for f in \(attempts); do : > $f && echo \"$f\"; done 2> /dev/null; true")
        #expect(written == "(no output)")
        #expect(try await server.bash("echo gone > /tmp/x; cat /tmp/x") == "gone")
        #expect(try await server.bash("cat /tmp/x 2> /dev/null || echo none") == "none")
    }

    @Test func `a command cannot see the server, its files or its environment`() async throws {
        setenv("TAU_TEST_SECRET", "SECRET", 1)
        let server = try await TestServer()
        let names = try await server.bash("env | cut -d= -f1 | sort | xargs")
        #expect(names == "HOME LANG PATH PWD SHLVL TERM TMPDIR _")
        #expect(try await server.bash("cat /proc/*/environ | tr '\\0' '\\n' | grep -c SECRET || true") == "0")
        #expect(try await server.bash("ls / | tr '\\n' ' '") == "bin dev etc lib lib64 proc sbin tmp usr workspace ")
        let missing = "ls /etc/shadow /etc/hostname \(server.path) 2>&1 | grep -c 'No such file'"
        #expect(try await server.bash(missing) == "3")
        let list = "for p in /proc/[0-9]*/comm; do read name < $p; echo $name; done 2> /dev/null | sort -u | xargs"
        let processes = Set(try await server.bash(list).split(separator: " "))
        #expect(processes.isSubset(of: ["bash", "bwrap", "sort", "xargs"]))
        #expect(try await server.bash("ls /proc/self/fd | xargs") == "0 1 2 3")
        #expect(try await server.bash("cat /proc/cmdline 2> /dev/null | wc -c") == "0")
    }

    @Test func `a command has no power and no network`() async throws {
        let server = try await TestServer()
        #expect(try await server.bash("id -u; id -un; id -G") == "1000\nagent\n1000")
        #expect(
            try await server.bash("grep -hE '^(Cap(Prm|Eff|Bnd)|NoNewPrivs)' /proc/self/status | tr -d '\\t '")
                == "CapPrm:0000000000000000\nCapEff:0000000000000000\nCapBnd:0000000000000000\nNoNewPrivs:1")
        #expect(try await server.bash("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '") == "lo")
        #expect(try await server.bash("(exec 3<>/dev/tcp/127.0.0.1/22) 2>/dev/null || echo refused") == "refused")
        #expect(try await server.bash("unshare -U true 2> /dev/null || echo refused") == "refused")
        #expect(try await server.bash("ulimit -c; ulimit -n; ulimit -l") == "0\n1024\n64")
    }

    @Test(.enabled(if: geteuid() == 0, "only root can become the tools' user"))
    func `outside of the sandbox a command is the tools' user and never root`() async throws {
        let server = try await TestServer()
        _ = try await server.bash("touch mine; cat /proc/self/uid_map > map")
        #expect(try fileStatus(server.workspace + "/mine").st_uid == 60001)
        #expect(try fileStatus(server.workspace + "/mine").st_gid == 60001)
    }

    // MARK: Ends

    @Test func `a command that takes too long is stopped and its output kept`() async throws {
        let server = try await TestServer()
        let begin = monotonicMilliseconds()
        let failure = try await server.failure(
            "bash", ["command": "trap '' TERM INT HUP; echo so far; sleep 600 & sleep 600", "timeout": 0.5])
        #expect(failure == ToolFailure(.timedOut, "so far\n\nCommand timed out after 0.5 seconds"))
        #expect((450..<10_000).contains(monotonicMilliseconds() - begin))
    }

    @Test(
        arguments: [
            ["command": "true", "timeout": 0], ["command": "true", "timeout": -1], ["command": "a\0b"],
            ["command": "true", "timeout": "5"], [:],
        ] as [JSONValue])
    func `bad arguments are refused`(arguments: JSONValue) async throws {
        let server = try await TestServer()
        #expect(try await server.failure("bash", arguments).code == .invalidArguments)
    }

    @Test func `cancelling kills everything at once, daemons too, and keeps the output`() async throws {
        let server = try await TestServer()
        let marker = "tau-daemon-\(UInt64.random(in: .min ... .max))"
        let command = """
            setsid bash -c 'trap "" TERM HUP; exec -a \(marker) sleep 600' > /dev/null 2>&1 < /dev/null & disown
            until grep -qsz \(marker) /proc/[0-9]*/cmdline; do :; done; echo ready; sleep 600
            """
        let (reports, reporting) = AsyncStream.makeStream(of: String.self)
        let failure = await withTaskGroup(of: ToolFailure?.self) { group in
            group.addTask {
                do {
                    _ = try await server.run("bash", ["command": .string(command)]) { reporting.yield($0.text) }
                    return nil
                } catch {
                    return error as? ToolFailure
                }
            }
            for await report in reports where report == "ready" { break }
            // Otherwise the check below could not fail.
            #expect(processExists(named: marker))
            group.cancelAll()
            return await group.next() ?? nil
        }
        #expect(failure == ToolFailure(.aborted, "ready\n\nCommand aborted"))
        #expect(!processExists(named: marker))
    }

    @Test func `a daemon that holds the output neither delays the answer nor outlives the command`() async throws {
        let server = try await TestServer()
        let marker = "tau-daemon-\(UInt64.random(in: .min ... .max))"
        let begin = monotonicMilliseconds()
        let text = try await server.bash(
            """
            setsid bash -c 'exec -a \(marker) sleep 600' &
            until grep -qsz \(marker) /proc/[0-9]*/cmdline; do :; done; echo done
            """)
        #expect(text == "done")
        #expect(monotonicMilliseconds() - begin < 10_000)
        #expect(!processExists(named: marker))
    }

    @Test func `a command that waits for a place can be cancelled`() async throws {
        var limits = ToolLimits()
        limits.maxConcurrentCommands = 1
        let server = try await TestServer(limits: limits)
        let (started, starting) = AsyncStream.makeStream(of: Void.self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                _ = try? await server.run("bash", ["command": "echo x; sleep 600"]) { _ in starting.finish() }
            }
            for await _ in started {}
            let second = try await withThrowingTaskGroup(of: ToolFailure.self) { waiting in
                waiting.addTask { try await server.failure("bash", ["command": "true"]) }
                waiting.cancelAll()
                return try await waiting.next()
            }
            #expect(second == .aborted)
            group.cancelAll()
        }
        #expect(try await server.bash("echo free") == "free")
    }

    // MARK: Output

    @Test func `long output is cut and kept whole in a file`() async throws {
        let server = try await TestServer()
        let output = try await server.run("bash", ["command": "seq 1 30000"])
        let path = try #require(output.details?["fullOutputPath"]?.string)
        #expect(
            output.text.hasSuffix("\n30000\n\n[Showing lines 1-200 and 28001-30000 of 30000. Full output: \(path)]"))
        #expect(output.text.hasPrefix("1\n2\n") && output.text.contains("\n200\n\n[27800 lines left out]\n\n28001\n"))
        #expect(output.details?["truncation"]?["totalBytes"]?.integer == 168_894)
        let host = server.workspace + "/" + path.dropFirst("/workspace/".utf8.count)
        #expect(try content(of: host) == (1...30_000).map { "\($0)\n" }.joined())
        #expect(try await server.bash("tail -1 \(path); rm \(path)") == "30000")
    }

    @Test func `one long line is cut in its middle`() async throws {
        let server = try await TestServer()
        let text = try await server.bash("head -c 300000 /dev/zero | tr '\\0' x; echo end")
        #expect(text.hasPrefix("xxx") && text.contains("xend\n\n[Showing the last 50.0KB of line 1. Full output: "))
    }

    @Test func `endless output stops the command`() async throws {
        var limits = ToolLimits()
        limits.outputStopBytes = 1 << 20
        let server = try await TestServer(limits: limits)
        let failure = try await server.failure("bash", ["command": "yes"])
        #expect(failure.code == .tooLarge)
        #expect(failure.message.hasSuffix("Command stopped because it wrote more than 1.0MB"))
    }

    @Test func `a full output file that cannot be made does not lose the answer`() async throws {
        let server = try await TestServer()
        try #require(symlink(server.path + "/outside", server.workspace + "/.tau") == 0)
        let text = try await server.bash("seq 1 3000")
        #expect(text.hasSuffix("The full output could not be kept.]"))
        #expect(try Directory(path: server.path + "/outside").names(limit: 10).count == 1)
    }

    @Test func `reports show the newest output and do not flood`() async throws {
        let server = try await TestServer()
        let count = Mutex(0)
        let begin = monotonicMilliseconds()
        _ = try await server.run("bash", ["command": "for i in {1..20000}; do echo $i; done"]) { _ in
            count.withLock { $0 += 1 }
        }
        let duration = monotonicMilliseconds() - begin
        #expect(count.withLock { $0 } >= 1)
        #expect(count.withLock { $0 } <= duration / 100 + 1)
    }
}

/// Whether a process on this machine, in whatever namespace, bears the name as its first argument.
private func processExists(named name: String) -> Bool {
    guard let processes = try? Directory(path: "/proc").names(limit: 100_000) else { return false }
    return processes.contains { process in
        guard process.allSatisfy({ (0x30...0x39).contains($0) }) else { return false }
        let path = "/proc/\(String(decoding: process, as: UTF8.self))/cmdline"
        let number = open(path, O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return false }
        let arguments = try? FileDescriptor(adopting: number).read(atMost: 4096)
        return arguments?.starts(with: name.utf8) == true
    }
}
