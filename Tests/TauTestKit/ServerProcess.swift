import Foundation
import Glibc
import Synchronization
import TauSystem

/// A server of somebody else's that tests talk to: a process with a directory of its own. Both end with this object, and the
/// process ends with the tests, however those end.
///
/// A test that is root starts it as the user `postgres`: such servers do not run as root.
public final class ServerProcess: Sendable {
    public let directory: String
    private let child: Mutex<ChildProcess?>
    private let stopSignal: Int32
    /// The server is told when this thread ends, and that it does with the tests.
    private let thread: WorkerThread
    private let start: @Sendable () throws -> ChildProcess

    /// Makes the directory, lets `prepare` fill it, starts the program with the arguments it answers, and blocks until the
    /// server has written `ready`. `stopSignal` makes it stop at once.
    public init(
        _ name: String, program: String, ready: String, stopSignal: Int32,
        prepare: (_ directory: String) throws -> [String]
    ) throws {
        directory = "/tmp/tau-\(name)-\(UUID().uuidString.prefix(8))"
        self.stopSignal = stopSignal
        thread = try WorkerThread()
        guard mkdir(directory, 0o700) == 0 else { throw BuiltPrograms.Failure(description: "no \(directory)") }
        Self.running.withLock { [directory] in $0.append(directory) }
        _ = Self.removesDirectoriesAtExit
        let identity = try Self.identity()
        if let identity { chown(directory, identity.userID, identity.groupID) }
        let arguments = try prepare(directory)
        let user = identity.map { ["--reuid", "\($0.userID)", "--regid", "\($0.groupID)", "--clear-groups"] } ?? []
        let signal = stopSignal == SIGQUIT ? "QUIT" : "KILL"
        start = { [thread] in
            let pipe = try TauSystem.Pipe()
            let started = try thread.spawn(
                ChildRequest(
                    executable: "/usr/bin/setpriv", arguments: user + ["--pdeathsig", signal, program] + arguments,
                    environment: ["PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"], output: pipe.writing.number))
            try Self.wait(for: ready, pipe.closingWritingEnd(), program)
            return started
        }
        let started = try start()
        child = Mutex(started)
    }

    /// Kills the server as it stands, and waits until it is gone.
    public func kill() {
        child.withLock { child in
            guard let running = child.take() else { return }
            Glibc.kill(running.processID, SIGKILL)
            _ = running.reap()
        }
    }

    /// Starts the server again on what it has left behind.
    public func restart() throws {
        kill()
        let started = Mutex<ChildProcess?>(try start())
        child.withLock { child in child = started.withLock { $0.take() } }
    }

    /// Also goes on reading what the server writes, which would otherwise stop it one day.
    private static func wait(for ready: String, _ output: consuming FileDescriptor, _ program: String) throws {
        var text = ""
        while !text.contains(ready) {
            let more = try output.read(atMost: 4096)
            guard !more.isEmpty else { throw BuiltPrograms.Failure(description: "\(program) did not start: \(text)") }
            text += String(decoding: more, as: UTF8.self)
        }
        let reader = LogReader(output)
        try SystemThread.start { reader.readToEnd() }
    }

    private final class LogReader: Sendable {
        private let log: Mutex<FileDescriptor?>

        init(_ log: consuming FileDescriptor) { self.log = Mutex(log) }

        func readToEnd() {
            log.withLock { log in
                while let more = try? log?.read(atMost: 65_536), !more.isEmpty {}
            }
        }
    }

    /// 0 where it does not run.
    public var processID: Int32 { child.withLock { $0?.processID ?? 0 } }

    public func send(_ signal: Int32) {
        let running = processID
        if running > 0 { Glibc.kill(running, signal) }
    }

    deinit {
        child.withLock { child in
            guard let running = child.take() else { return }
            Glibc.kill(running.processID, stopSignal)
            _ = running.reap()
        }
        Self.remove(directory)
        Self.running.withLock { [directory] in $0.removeAll { $0 == directory } }
    }

    private static func remove(_ directory: String) {
        try? Directory(path: directory).removeContents()
        rmdir(directory)
    }

    /// Directories of servers that tests hold in globals, which nobody takes away before the tests end.
    private static let running = Mutex<[String]>([])
    private static let removesDirectoriesAtExit: Void = {
        atexit { ServerProcess.running.withLock { $0 }.forEach(ServerProcess.remove) }
    }()

    /// Runs a program as the server's user to its end, with `input` as descriptor 3.
    @discardableResult
    static func run(_ program: String, _ arguments: [String], input: String) throws -> String {
        let pipe = try TauSystem.Pipe()
        let file = try memoryFile(Array(input.utf8))
        var request = ChildRequest(
            executable: program, arguments: arguments, environment: ["PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"],
            output: pipe.writing.number)
        request.inherited = [file.number]
        request.identity = try identity()
        let child = try ChildProcess.spawn(request)
        let output = try pipe.closingWritingEnd().readAll(limit: 1 << 20) ?? []
        guard child.reap() == .code(0) else {
            throw BuiltPrograms.Failure(description: "\(program): \(String(decoding: output, as: UTF8.self))")
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// nil where the tests are not root.
    private static func identity() throws -> ChildRequest.Identity? {
        guard geteuid() == 0 else { return nil }
        guard let entry = getpwnam("postgres") else {
            throw BuiltPrograms.Failure(description: "there is no user postgres: run the tests with `make test`")
        }
        return .init(userID: entry.pointee.pw_uid, groupID: entry.pointee.pw_gid)
    }
}
