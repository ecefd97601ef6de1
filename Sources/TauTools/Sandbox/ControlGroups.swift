internal import Glibc
internal import Synchronization
internal import TauCore
internal import TauSystem

/// Where this server makes the control groups of commands. Groups are used again, because making one costs more than
/// anything else around a command.
final class ControlGroups: Sendable {
    struct Limits: Sendable, Hashable {
        var processes: Int
        var memoryBytes: Int
        /// Processors' worth of time: 1.5 is one and a half.
        var processors: Double
        /// Whether what commands write may stay in memory after them, so that a group is not as empty as it looks.
        var filesInMemory = false
    }

    private let parents: [ControlGroupDirectory]
    private let limits: Limits
    private let state: Mutex<State>

    private struct State {
        var made = 0
        /// Empty groups whose limits are set.
        var idle: [ControlGroup] = []
    }

    /// Finds the controllers, kills and removes what servers that are gone have left, and makes this server's directories.
    ///
    /// Throws `unavailable` with the reason where the machine gives this server no control groups.
    init(limits: Limits, machine: ControlGroupMachine = .init()) throws(ToolFailure) {
        self.limits = limits
        let name = "tau-\(getpid())-\(String(UInt32.random(in: .min ... .max), radix: 16))"
        parents = try machine.makeParents(name)
        state = Mutex(State())
        do throws(SystemError) {
            giveBack(try take())
        } catch {
            for parent in parents { parent.remove() }
            throw ToolFailure(.unavailable, "no control group can be used: \(error)")
        }
    }

    deinit {
        state.withLock { state in for group in state.idle { group.remove() } }
        for parent in parents { parent.remove() }
    }

    /// The controllers that are in use, for people.
    var description: String {
        let version = parents.allSatisfy(\.isUnified) ? "2" : parents.contains(where: \.isUnified) ? "1 and 2" : "1"
        return "control groups version \(version)"
    }

    /// A group for one command, to be given back when it has ended.
    func take() throws(SystemError) -> ControlGroup {
        let (idle, number) = state.withLock { state -> (ControlGroup?, Int) in
            // The kernel counts processes until their parent, which may be the machine's first one, has taken notice.
            if let index = state.idle.lastIndex(where: \.isEmpty) { return (state.idle.remove(at: index), 0) }
            state.made += 1
            return (nil, state.made)
        }
        if let idle { return idle }
        return try ControlGroup(name: "command-\(number)", in: parents, limits: limits)
    }

    /// Kills what is left in the group. One that cannot be emptied is not used again.
    func giveBack(_ group: ControlGroup) {
        guard group.killAll() else { return }
        if limits.filesInMemory, group.holdsFiles { return group.remove() }
        state.withLock { $0.idle.append(group) }
    }
}

/// What the machine offers: where the control group file systems are mounted and where in them this process is.
struct ControlGroupMachine {
    /// The text of `/proc/self/cgroup`.
    var membership = readSmallFile("/proc/self/cgroup") ?? ""
    /// The text of `/proc/self/mountinfo`.
    var mounts = readSmallFile("/proc/self/mountinfo") ?? ""

    /// Where the process is in each hierarchy that has a controller of use. A hybrid machine has some controllers in
    /// version 1 and the others in version 2.
    func places() -> [ControlGroupDirectory] {
        var places: [ControlGroupDirectory] = []
        var found: Set<ControlGroupDirectory.Controller> = []
        for line in membership.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3, !fields[1].isEmpty else { continue }
            let names = fields[1].split(separator: ",").map(String.init)
            let controllers = Set(names.compactMap(ControlGroupDirectory.Controller.init)).subtracting(found)
            guard !controllers.isEmpty, let path = directory(type: "cgroup", controllers: names, path: fields[2]) else {
                continue
            }
            found.formUnion(controllers)
            places.append(ControlGroupDirectory(path: path, controllers: controllers, isUnified: false))
        }
        for line in membership.split(separator: "\n") where line.hasPrefix("0::") {
            guard let path = directory(type: "cgroup2", controllers: [], path: line.dropFirst(3)) else { continue }
            let names = (readSmallFile(path + "/cgroup.controllers") ?? "").split { $0 == " " || $0 == "\n" }
            let controllers = Set(names.compactMap { ControlGroupDirectory.Controller(rawValue: String($0)) })
                .subtracting(found)
            guard !controllers.isEmpty else { continue }
            found.formUnion(controllers)
            places.append(ControlGroupDirectory(path: path, controllers: controllers, isUnified: true))
        }
        return places
    }

    /// The directory of a path in the hierarchy that is mounted with these controllers (proc(5), mountinfo).
    private func directory(type: String, controllers: [String], path: Substring) -> String? {
        for line in mounts.split(separator: "\n") {
            guard let separator = line.firstRange(of: " - ") else { continue }
            let front = line[..<separator.lowerBound].split(separator: " ")
            let back = line[separator.upperBound...].split(separator: " ")
            guard front.count >= 5, back.count >= 3, back[0] == type,
                Set(controllers).isSubset(of: Set(back[2].split(separator: ",").map(String.init)))
            else { continue }
            // The mount may show a part of the hierarchy only, as in containers.
            let (root, point) = (front[3], String(front[4]))
            guard root != "/" else { return path == "/" ? point : point + path }
            if path == root { return point }
            if path.hasPrefix(root + "/") { return point + path.dropFirst(root.count) }
            if path == "/" { return point }
        }
        return nil
    }

    /// Makes a directory of that name in each hierarchy.
    fileprivate func makeParents(_ name: String) throws(ToolFailure) -> [ControlGroupDirectory] {
        let places = places()
        let missing = Set([ControlGroupDirectory.Controller.pids, .memory])
            .subtracting(places.reduce(into: []) { $0.formUnion($1.controllers) })
        guard missing.isEmpty else {
            let names = missing.map(\.rawValue).sorted().joined(separator: " and ")
            throw ToolFailure(.unavailable, "this server has no control group with \(names)")
        }
        var parents: [ControlGroupDirectory] = []
        do throws(SystemError) {
            for place in places {
                if place.isUnified { try place.delegateControllers() }
                place.sweep()
                let parent = try place.makeChild(name)
                parents.append(parent)
                if parent.isUnified { try parent.enableControllers() }
            }
        } catch {
            for parent in parents { parent.remove() }
            throw ToolFailure(.unavailable, "no control group can be made: \(error)")
        }
        return parents
    }
}

extension ControlGroupDirectory {
    /// Version 2 hands controllers down only from groups without processes of their own: the server steps aside into a
    /// group below. Fails where others are in its group, which is then not delegated to it.
    fileprivate func delegateControllers() throws(SystemError) {
        do throws(SystemError) {
            try enableControllers()
        } catch  where error.code == EBUSY {
            guard tasks() == [getpid()] else { throw error }
            try makeChild("tau-server").write("0", to: "cgroup.procs")
            try enableControllers()
        }
    }

    fileprivate func enableControllers() throws(SystemError) {
        let names = controllers.map { "+" + $0.rawValue }.sorted().joined(separator: " ")
        try write(names, to: "cgroup.subtree_control")
    }

    /// Ends what servers that are gone have left running, and removes their groups.
    fileprivate func sweep() {
        guard let names = try? Directory(path: path).names(limit: 10_000) else { return }
        for name in names.map({ String(decoding: $0, as: UTF8.self) }) {
            let parts = name.split(separator: "-")
            guard parts.count == 3, parts[0] == "tau", let server = Int32(parts[1]), kill(server, 0) != 0,
                errno == ESRCH
            else { continue }
            var group = self
            group.path += "/" + name
            for command in (try? Directory(path: group.path).names(limit: 10_000)) ?? [] {
                var child = group
                child.path += "/" + String(decoding: command, as: UTF8.self)
                guard access(child.path + "/cgroup.procs", F_OK) == 0 else { continue }
                for process in child.tasks() { _ = kill(process, SIGKILL) }
                child.remove()
            }
            group.remove()
        }
    }
}
