internal import Glibc

/// What the system says of this process, under the names that Prometheus's own libraries give it.
/// <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>
package enum ProcessMetrics {
    package struct Value: Sendable {
        var name: String
        var help: String
        var isCounter = false
        var value: Double
    }

    /// Reads `/proc`; what cannot be read is left out. Some file reads, so not for a thread that must not wait.
    package static func read() -> [Value] {
        var values: [Value] = []
        let ticks = Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
        // Behind the name in parentheses, which may hold anything.
        if let stat = text("/proc/self/stat"), let end = stat.lastIndex(of: ")") {
            let fields = stat[end...].split(separator: " ").dropFirst().map { Double($0) ?? 0 }
            // The first field here is the third of proc(5), the state.
            if fields.count > 21 {
                values.append(
                    Value(
                        name: "process_cpu_seconds_total", help: "Time on a processor.", isCounter: true,
                        value: (fields[11] + fields[12]) / ticks))
                values.append(
                    Value(name: "process_threads", help: "Threads.", value: fields[17]))
                values.append(
                    Value(
                        name: "process_virtual_memory_bytes", help: "Virtual memory.", value: fields[20]))
                values.append(
                    Value(
                        name: "process_resident_memory_bytes", help: "Memory that is really there.",
                        value: fields[21] * Double(sysconf(Int32(_SC_PAGESIZE)))))
                if let boot = bootTime() {
                    values.append(
                        Value(
                            name: "process_start_time_seconds", help: "When the process began, since 1970.",
                            value: boot + fields[19] / ticks))
                }
            }
        }
        if let count = openFiles() {
            values.append(
                Value(name: "process_open_fds", help: "File descriptors that are open.", value: Double(count)))
        }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            values.append(
                Value(
                    name: "process_max_fds", help: "File descriptors that may be open.", value: Double(limit.rlim_cur)))
        }
        return values.sorted { $0.name < $1.name }
    }

    private static func bootTime() -> Double? {
        text("/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }
            .flatMap { Double($0.dropFirst(6)) }
    }

    private static func openFiles() -> Int? {
        guard let directory = opendir("/proc/self/fd") else { return nil }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // Without `.`, `..` and the directory itself.
        return count - 3
    }

    private static func text(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}
