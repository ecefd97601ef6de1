import Glibc
import TauCore
import TauSystem
import Testing

@testable import TauTools

@Suite(.enabled(if: TestServer.hasSandbox, "bubblewrap is not installed"), .timeLimit(.minutes(2)))
struct SandboxSelfTestTests {
    /// A bubblewrap that forgets one thing.
    private final class Leaky: Sendable {
        let directory: String
        var program: String { directory + "/bwrap" }

        /// `forgets` is an option that is left out, with so many words behind it; `adds` stands in front of the program.
        init(forgets: String, words: Int, adds: String = "") throws {
            var template = Array("/tmp/tau-leaky-XXXXXX".utf8CString)
            directory = String(cString: try #require(mkdtemp(&template)))
            try #require(chmod(directory, 0o755) == 0)
            let real = access("/usr/bin/bwrap", X_OK) == 0 ? "/usr/bin/bwrap" : "/usr/local/bin/bwrap"
            try createFile(
                program,
                """
                #!/bin/bash
                [ ! -e \(directory)/sound ] || exec \(real) "$@"
                words=()
                while [ "$1" != -- ]; do
                    if [ "$1 $2" = "\(forgets)" ] || [ "$1" = "\(forgets)" ]; then shift \(words + 1); continue; fi
                    words+=("$1")
                    shift
                done
                exec \(real) "${words[@]}" \(adds) "$@"
                """)
            try #require(chmod(program, 0o755) == 0)
        }

        func setSound(_ isSound: Bool) throws {
            if isSound { try createFile(directory + "/sound", "") } else { unlink(directory + "/sound") }
        }

        deinit {
            try? Directory(path: directory).removeContents()
            rmdir(directory)
        }
    }

    @Test(arguments: [
        ("--unshare-net", 0, "", "the network of the host can be reached"),
        ("--add-seccomp-fd", 1, "", "no system call filter"),
        ("--uid", 1, "", "user"),
        ("--remount-ro /", 1, "", "/ can be written"),
        ("--remount-ro /dev", 1, "", "/dev can be written"),
        ("--ro-bind /dev/null", 2, "", "the command line of the kernel can be seen"),
        ("--remount-ro /", 1, "--dir /root --remount-ro /", "files of the host can be seen"),
        ("nothing", 0, "--setenv API_KEY secret", "the environment has API_KEY"),
        ("--proc", 1, "--bind /proc /proc", ""),
    ])
    func `a sandbox that forgets one thing is not used`(
        forgets: String, words: Int, adds: String, reason: String
    ) async throws {
        let leaky = try Leaky(forgets: forgets, words: words, adds: adds)
        let server = try await TestServer(sandboxPrograms: [leaky.program])
        #expect(server.toolbox["bash"] == nil)
        let problem = try #require(await server.tools.problem())
        #expect(problem.contains(reason), "\(problem)")
        #expect(server.tools.listings.compactMap(\.unavailable) == [problem])
    }

    @Test func `a sandbox that stops holding is found out`() async throws {
        let leaky = try Leaky(forgets: "--unshare-net", words: 0)
        try leaky.setSound(true)
        let server = try await TestServer(sandboxPrograms: [leaky.program])
        #expect(server.toolbox["bash"] != nil)
        #expect(await server.tools.problem() == nil)
        try leaky.setSound(false)
        #expect(await server.tools.problem()?.contains("the network of the host can be reached") == true)
        // What is tried leaves nothing behind.
        #expect(try Directory(path: server.path + "/workspaces").names(limit: 10) == [Array("session-1".utf8)])
    }
}

@Suite(.timeLimit(.minutes(2))) struct UnconfinedCommandTests {
    @Test func `commands without a sandbox are the tools' user, in bounds, and leave nothing running`() async throws {
        let server = try await TestServer(confinement: .none)
        let bash = try #require(server.tools.listings.first { $0.definition.name == "bash" })
        #expect(bash.note?.contains("commands are not confined") == true)
        #expect(try await server.bash("pwd; id -u") == "\(server.workspace)\n\(geteuid() == 0 ? 60001 : geteuid())")
        #expect(try await server.bash("env | cut -d= -f1 | sort | xargs") == "HOME LANG PATH PWD SHLVL TERM TMPDIR _")
        #expect(try await server.bash("ulimit -n; ulimit -c") == "1024\n0")
        let mark = "96\(getpid()).\(UInt16.random(in: .min ... .max))"
        let late = try await server.failure("bash", ["command": .string("sleep \(mark)"), "timeout": 0.5])
        #expect(late.code == .timedOut)
        guard bash.note?.contains("for each process only") == false else { return }
        let daemon = "(setsid sh -c ': > ready; sleep \(mark); :' > /dev/null 2>&1 &); until [ -e ready ]; do :; done"
        #expect(try await server.bash(daemon) == "(no output)")
        #expect(try await server.bash("pgrep -f 'sleep \(mark)' | grep -v $$ | wc -l") == "0")
    }
}
