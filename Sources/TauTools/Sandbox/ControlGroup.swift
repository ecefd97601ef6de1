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
    /// The `cgroup.procs` file of each directory, kept open: joining is one write.
    private let members: [Members]

    private final class Members: Sendable {
        let file: FileDescriptor
        init(_ file: consuming FileDescriptor) { self.file = file }
    }

    /// Makes the directories, or uses what is left of an earlier command, and sets the limits.
    init(name: String, in parents: [ControlGroupDirectory], limits: ControlGroups.Limits) throws(SystemError) {
        var directories: [ControlGroupDirectory] = []
        var members: [Members] = []
        for parent in parents {
            let directory = try parent.makeChild(name)
            try directory.apply(limits)
            members.append(Members(try directory.openForWriting("cgroup.procs")))
            directories.append(directory)
        }
        self.directories = directories
        self.members = members
    }

    /// What a child inherits for joining.
    var joining: [Int32] { members.map { $0.file.number } }

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

    /// Kills everything in the group until nothing is left. False if something is still there after a second, which
    /// only a process that the kernel cannot interrupt manages.
    func killAll() -> Bool {
        let deadline = monotonicMilliseconds() + 1000
        while true {
            let processes = directories.first?.processes() ?? []
            if processes.isEmpty { return true }
            for process in processes { _ = kill(process, SIGKILL) }
            guard monotonicMilliseconds() < deadline, let first = processes.first else { return false }
            // Ends as soon as that one has gone.
            waitForEnd(ofOrphan: first, milliseconds: 50)
        }
    }

    func remove() {
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

    /// Not those that this process may not see, which read as 0.
    func processes() -> [Int32] {
        let text = readSmallFile("\(path)/cgroup.procs") ?? ""
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
