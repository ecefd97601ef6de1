import Glibc
import TauCore
import TauSystem
import Testing

@testable import TauTools

struct ControlGroupMachineTests {
    private func places(_ membership: String, _ mounts: String) -> [String] {
        ControlGroupMachine(membership: membership, mounts: mounts).places().map { place in
            let controllers = place.controllers.map(\.rawValue).sorted().joined(separator: ",")
            return "\(place.isUnified ? 2 : 1) \(controllers) \(place.path)"
        }
    }

    private func mount(_ root: String, _ point: String, _ type: String, _ options: String) -> String {
        "25 20 0:21 \(root) \(point) rw,nosuid shared:9 - \(type) cgroup rw,\(options)\n"
    }

    @Test func `version 1 has a hierarchy for each controller`() {
        let membership = "9:cpu,cpuacct:/a\n8:pids:/\n4:memory:/b/c\n1:name=systemd:/x\n"
        let mounts =
            mount("/", "/sys/fs/cgroup/cpu,cpuacct", "cgroup", "cpu,cpuacct")
            + mount("/", "/sys/fs/cgroup/pids", "cgroup", "pids")
            + mount("/", "/sys/fs/cgroup/memory", "cgroup", "memory")
        #expect(
            places(membership, mounts) == [
                "1 cpu /sys/fs/cgroup/cpu,cpuacct/a", "1 pids /sys/fs/cgroup/pids",
                "1 memory /sys/fs/cgroup/memory/b/c",
            ])
    }

    @Test func `a container sees a part of the hierarchy`() {
        let membership = "8:pids:/docker/id/sub\n4:memory:/docker/id\n2:cpu:/\n"
        let mounts =
            mount("/docker/id", "/sys/fs/cgroup/pids", "cgroup", "pids")
            + mount("/docker/id", "/sys/fs/cgroup/memory", "cgroup", "memory")
            + mount("/docker/id", "/sys/fs/cgroup/cpu", "cgroup", "cpu")
        #expect(
            places(membership, mounts) == [
                "1 pids /sys/fs/cgroup/pids/sub", "1 memory /sys/fs/cgroup/memory", "1 cpu /sys/fs/cgroup/cpu",
            ])
        // One that is not below what is mounted cannot be reached.
        #expect(places("8:pids:/docker/other\n", mount("/docker/id", "/p", "cgroup", "pids")).isEmpty)
    }

    @Test func `what is not mounted or not of use is passed by`() {
        #expect(places("8:pids:/\n3:devices:/\n", mount("/", "/d", "cgroup", "devices")).isEmpty)
        #expect(places("", "").isEmpty)
        #expect(places("nonsense\n8\n8:pids\n::\n0::\n", "nonsense\n - \n1 2 3 - cgroup\n").isEmpty)
    }

    @Test func `version 2 has what the group was given`() throws {
        let server = try FakeUnified(controllers: "cpuset cpu io memory pids")
        let mounts = mount("/", server.path, "cgroup2", "nsdelegate")
        #expect(places("0::/\n", mounts) == ["2 cpu,memory,pids \(server.path)"])
        // In a hybrid the controllers of version 1 come first.
        let hybrid = mounts + mount("/", "/sys/fs/cgroup/pids", "cgroup", "pids")
        #expect(
            places("8:pids:/\n0::/\n", hybrid) == ["1 pids /sys/fs/cgroup/pids", "2 cpu,memory \(server.path)"])
        #expect(places("0::/elsewhere\n", mounts).isEmpty)
    }

    @Test func `a machine without control groups is told apart from one that gives none`() {
        let limits = ControlGroups.Limits(processes: 10, memoryBytes: 1 << 20, processors: 1)
        let failure = #expect(throws: ToolFailure.self) {
            try ControlGroups(limits: limits, machine: ControlGroupMachine(membership: "", mounts: ""))
        }
        #expect(failure?.message == "this server has no control group with memory and pids")
    }
}

/// A directory that looks like version 2's.
private final class FakeUnified: Sendable {
    let path: String

    init(controllers: String) throws {
        var template = Array("/tmp/tau-unified-XXXXXX".utf8CString)
        path = String(cString: try #require(mkdtemp(&template)))
        try createFile(path + "/cgroup.controllers", controllers + "\n")
    }

    deinit {
        try? Directory(path: path).removeContents()
        rmdir(path)
    }
}
