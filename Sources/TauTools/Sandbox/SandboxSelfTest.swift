internal import Glibc
internal import TauCore
internal import TauSystem

/// Whether commands can be run on this server.
enum SandboxStatus: Sendable {
    case ready(Sandbox)
    /// Why not. There is no weaker mode that anything falls back to: without a sandbox there are no commands.
    case unavailable(String)

    var problem: String? {
        if case .unavailable(let reason) = self { return reason }
        return nil
    }
}

/// Tries the sandbox, with real attempts to get out of it.
struct SandboxSelfTest: Sendable {
    let root: WorkspaceRoot
    let configuration: ToolsConfiguration
    let threads: BlockingThreads
    var programs: [String]?

    /// The sandbox if it holds, as commands then use it.
    func run() async -> SandboxStatus {
        do {
            let sandbox = try Sandbox(
                confinement: configuration.confinement, identity: root.owner, limits: configuration.limits,
                programs: programs)
            guard sandbox.bubblewrap != nil else { return .ready(sandbox) }
            if let problem = try await lastingProblem(sandbox) {
                return .unavailable("the sandbox does not hold here: \(problem)")
            }
            return .ready(sandbox)
        } catch {
            return .unavailable("the sandbox does not work here: \(error)")
        }
    }

    /// On a machine that is busy the processes of the test may take turns instead of running into their limit.
    private func lastingProblem(_ sandbox: Sandbox) async throws -> String? {
        var last: String?
        for _ in 0..<3 {
            last = try await problem(sandbox)
            if last == nil { return nil }
        }
        return last
    }

    /// What got out, or nil. The sandbox tried has small limits, so that reaching them costs little.
    private func problem(_ whole: Sandbox) async throws -> String? {
        var limits = configuration.limits
        limits.maxCommandProcesses = Self.processes
        limits.maxCommandMemoryBytes = Self.memoryBytes
        let sandbox = whole.limited(to: limits)
        let random = String(UInt64.random(in: .min ... .max), radix: 16)
        let (name, other) = (".probe-\(random)", ".probe-\(random)-other")
        defer { for name in [name, other] { try? root.remove(name) } }
        let protected = ProtectedNames.Matcher(configuration.protectedNames)
        let workspace = try await Workspace.open(name, in: root, limits: limits, protected: protected, threads: threads)
        let neighbour = try await Workspace.open(
            other, in: root, limits: limits, protected: protected, threads: threads)
        try neighbour.directory.createFile(Array("secret".utf8), mode: 0o644).write(Array("SECRET".utf8))
        let listener = try Listener()
        let command = Self.attempts(
            neighbour: neighbour.hostPath, port: listener.port, hasGroups: sandbox.groups != nil)
        let execution = try CommandExecution.shell(
            command, timeoutSeconds: 10, sandbox: sandbox, workspace: workspace, report: { _ in })
        let outcome = await execution.run()
        guard outcome.output.text == "held" else { return "\(outcome.end) \(outcome.output.text)" }
        guard sandbox.groups != nil else { return nil }
        // Where all processes die together for want of memory, the command's end says no more than that.
        if outcome.events.memoryKills == 0 { return "a command got more memory than allowed (\(outcome.end))" }
        if outcome.events.refusedProcesses == 0 { return "a command got more processes than allowed (\(outcome.end))" }
        return nil
    }

    /// Two of bubblewrap, the shell, one that starts others, and one of those.
    private static let processes = 5
    private static let memoryBytes = 8 << 20

    /// A script that says what succeeded and should not have, and otherwise that all held.
    ///
    /// It uses what every bash brings, and as few processes as possible: the server waits for it.
    private static func attempts(neighbour: String, port: UInt16, hasGroups: Bool) -> String {
        let attempts = """
            say() { echo "$1"; held=no; }
            [ "$UID" = 1000 ] || say "user $UID"
            while read -r key value; do
                case $key in
                CapEff: | CapPrm: | CapBnd:) [ "$value" = 0000000000000000 ] || say "capabilities $value" ;;
                NoNewPrivs:) [ "$value" = 1 ] || say 'new privileges' ;;
                Seccomp:) [ "$value" = 2 ] || say 'no system call filter' ;;
                esac
            done < /proc/self/status
            [ ! -w /proc/sys/kernel/core_pattern ] || say 'kernel settings can be written'
            [ ! -e /root ] && [ ! -e '\(neighbour)/secret' ] || say 'files of the host can be seen'
            { ! read -r line < /proc/cmdline; } 2> /dev/null || say 'the command line of the kernel can be seen'
            { ! exec 3<> /dev/tcp/127.0.0.1/\(port); } 2> /dev/null || say 'the network of the host can be reached'
            for place in / /usr /etc /dev /proc/sys; do
                { ! : > $place/probe; } 2> /dev/null || say "$place can be written"
            done
            for file in /proc/[0-9]*/environ; do
                while IFS= read -r -d '' entry; do
                    case $entry in
                    PATH=* | HOME=* | LANG=* | TERM=* | TMPDIR=* | PWD=* | OLDPWD=* | SHLVL=* | _=*) ;;
                    *) say "the environment has ${entry%%=*}" ;;
                    esac
                done < $file
            done 2> /dev/null
            : > /workspace/probe || say 'the workspace cannot be written'
            [ "$held" = no ] || echo held

            """
        guard hasGroups else { return attempts }
        return attempts + """
            xargs -P 2 -n 1 sleep <<< '0.01 0.01' > /dev/null 2>&1
            head -c \(memoryBytes * 2) /dev/zero > /tmp/hold
            """
    }

    /// Something on the host's loopback that a command must not reach.
    private struct Listener: ~Copyable {
        private let socket: FileDescriptor
        let port: UInt16

        init() throws(SystemError) {
            let number = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            guard number >= 0 else { throw SystemError(call: "socket", code: errno) }
            let descriptor = FileDescriptor(adopting: number)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let result = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                    guard bind(number, generic, length) == 0, listen(number, 1) == 0 else { return Int32(-1) }
                    return getsockname(number, generic, &length)
                }
            }
            guard result == 0 else { throw SystemError(call: "listen", code: errno) }
            socket = descriptor
            port = UInt16(bigEndian: address.sin_port)
        }
    }
}
