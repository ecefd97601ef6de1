internal import Glibc
internal import TauSystem

/// One command's control group: what its processes may use together, and the list of them.
///
/// On machines with version 1 or a hybrid it is a directory in each of the controllers' hierarchies, on version 2 one
/// directory. Calls block for some microseconds.
final class ControlGroup: Sendable {
    /// What a command ran into.
    struct Events: Sendable, Hashable {
        /// Processes that the kernel killed for want of memory.
        var memoryKills = 0
        /// Processes that could not be made.
        var refusedProcesses = 0

        func subtracting(_ other: Events) -> Events {
            Events(
                memoryKills: memoryKills - other.memoryKills,
                refusedProcesses: refusedProcesses - other.refusedProcesses)
        }
    }

    private let directories: [ControlGroupDirectory]
    /// The directory of version 2, in which children can be born.
    private let unified: Directory?
    /// The thread that is in the version 1 part, so that its children are born there. Moving a process into a group
    /// costs some 20 ms when nothing has been moved for a while: the kernel waits for all processors.
    private let thread: WorkerThread
    private let threadID: Int32

    /// Makes the directories, or uses what is left of an earlier command, and sets the limits.
    init(name: String, in parents: [ControlGroupDirectory], limits: ControlGroups.Limits) throws(SystemError) {
        var limits = limits
        // The thread counts.
        limits.processes += 1
        var directories: [ControlGroupDirectory] = []
        for parent in parents {
            let directory = try parent.makeChild(name)
            try directory.apply(limits)
            directories.append(directory)
        }
        self.directories = directories
        unified = try directories.first(where: \.isUnified).map { directory throws(SystemError) in
            try Directory(path: directory.path)
        }
        thread = try WorkerThread()
        let entered = thread.run { [directories] in
            Result { () throws(SystemError) in
                for directory in directories where !directory.isUnified { try directory.write("0", to: "tasks") }
                return WorkerThread.currentNumber
            }
        }
        threadID = try entered.get()
    }

    /// Starts a child in the group. Blocks.
    func spawn(_ request: ChildRequest) throws(SystemError) -> ChildProcess {
        var request = request
        request.controlGroup = unified?.descriptor.number
        return try thread.spawn(request)
    }

    /// Whether nothing counts against the limits any more.
    var isEmpty: Bool {
        directories.allSatisfy { directory in
            guard directory.controllers.contains(.pids) else { return true }
            // In version 1 the thread counts.
            return readSmallFile(directory.path + "/pids.current") == (directory.isUnified ? "0\n" : "1\n")
        }
    }

    /// Whether files in memory count against it that a command made and that are still there.
    var holdsFiles: Bool {
        directories.contains { $0.controllers.contains(.memory) && $0.value("shmem", of: "memory.stat") > 0 }
    }

    func events() -> Events {
        var events = Events()
        for directory in directories {
            if directory.controllers.contains(.memory) {
                let file = directory.isUnified ? "memory.events" : "memory.oom_control"
                events.memoryKills = directory.value("oom_kill", of: file)
            }
            if directory.controllers.contains(.pids) {
                events.refusedProcesses = directory.value("max", of: "pids.events")
            }
        }
        return events
    }

    /// The processes in the group; in version 1 their threads.
    var processes: [Int32] { (directories.first?.tasks() ?? []).filter { $0 != threadID } }

    /// Kills everything in the group until nothing is left. False if something is still there after a second, which
    /// only a process that the kernel cannot interrupt manages.
    func killAll() -> Bool {
        let deadline = monotonicMilliseconds() + 1000
        while true {
            let processes = processes
            if processes.isEmpty { return true }
            for process in processes { _ = kill(process, SIGKILL) }
            guard monotonicMilliseconds() < deadline, let first = processes.first else { return false }
            // Ends as soon as that one has gone.
            waitForEnd(ofOrphan: first, milliseconds: 50)
        }
    }

    /// Leaves the group and removes it.
    func remove() {
        thread.run { [directories] in
            for directory in directories where !directory.isUnified {
                directory.release(thread: WorkerThread.currentNumber)
            }
        }
        for directory in directories { directory.remove() }
    }
}

/// A directory of the kernel's control group file system, and which controllers it has.
struct ControlGroupDirectory: Sendable, Hashable {
    enum Controller: String, Sendable, CaseIterable { case pids, memory, cpu }

    var path: String
    var controllers: Set<Controller>
    /// Version 2.
    var isUnified: Bool

    func makeChild(_ name: String) throws(SystemError) -> ControlGroupDirectory {
        var child = self
        child.path = path + "/" + name
        guard mkdir(child.path, 0o755) == 0 || errno == EEXIST else {
            throw SystemError(call: "mkdir \(child.path)", code: errno)
        }
        return child
    }

    func remove() { _ = rmdir(path) }

    /// Moves a thread back to where the process is, for a group with members cannot be removed.
    func release(thread: Int32) {
        var above = self
        for _ in 0..<2 { above.path = String(above.path[..<(above.path.lastIndex(of: "/") ?? above.path.startIndex)]) }
        try? above.write(String(thread), to: "tasks")
    }

    /// The kernel's documentation: admin-guide/cgroup-v1 and admin-guide/cgroup-v2.
    func apply(_ limits: ControlGroups.Limits) throws(SystemError) {
        if controllers.contains(.pids) { try write(String(limits.processes), to: "pids.max") }
        if controllers.contains(.memory) {
            let bytes = String(limits.memoryBytes)
            if isUnified {
                try write(bytes, to: "memory.max")
                // Absent where there is no swap accounting. All processes of a command die together: half of a
                // pipeline makes no sense.
                tryToWrite("0", to: "memory.swap.max")
                tryToWrite("1", to: "memory.oom.group")
            } else {
                // The bound with swap may never be below the one without, in whichever order they change.
                tryToWrite("-1", to: "memory.memsw.limit_in_bytes")
                try write(bytes, to: "memory.limit_in_bytes")
                tryToWrite(bytes, to: "memory.memsw.limit_in_bytes")
                tryToWrite("0", to: "memory.swappiness")
            }
        }
        if controllers.contains(.cpu) {
            let period = 100_000
            let quota = Int((limits.processors * Double(period)).rounded())
            if isUnified {
                try write("\(quota) \(period)", to: "cpu.max")
            } else {
                try write(String(period), to: "cpu.cfs_period_us")
                try write(String(quota), to: "cpu.cfs_quota_us")
            }
        }
    }

    func openForWriting(_ file: String) throws(SystemError) -> FileDescriptor {
        let number = open("\(path)/\(file)", O_WRONLY | O_CLOEXEC)
        guard number >= 0 else { throw SystemError(call: "open \(path)/\(file)", code: errno) }
        return FileDescriptor(adopting: number)
    }

    func write(_ text: String, to file: String) throws(SystemError) {
        try openForWriting(file).write(Array(text.utf8))
    }

    /// For what not every kernel has.
    private func tryToWrite(_ text: String, to file: String) { try? write(text, to: file) }

    /// The number behind a word at the start of a line, or 0.
    func value(_ word: String, of file: String) -> Int {
        guard let text = readSmallFile("\(path)/\(file)") else { return 0 }
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ")
            if parts.count == 2, parts[0] == word { return Int(parts[1]) ?? 0 }
        }
        return 0
    }

    /// Its processes, in version 1 its threads; not those that this process may not see, which read as 0.
    ///
    /// In version 1 the list of processes has the server's own, because of its thread.
    func tasks() -> [Int32] {
        let text = readSmallFile("\(path)/\(isUnified ? "cgroup.procs" : "tasks")") ?? ""
        return text.split(separator: "\n").compactMap { Int32($0) }.filter { $0 > 0 }
    }
}

/// A file of the kernel's; nil if it cannot be read.
func readSmallFile(_ path: String) -> String? {
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { return nil }
    let file = FileDescriptor(adopting: number)
    var bytes: [UInt8] = []
    while bytes.count < 1 << 20, let more = try? file.read(atMost: 65_536), !more.isEmpty { bytes += more }
    return String(decoding: bytes, as: UTF8.self)
}
