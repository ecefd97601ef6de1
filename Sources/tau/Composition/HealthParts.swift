internal import Glibc
internal import TauCore
internal import TauHTTP
internal import TauRedis
internal import TauRuntime
internal import TauSystem

extension ServerConfiguration {
    /// What `/health` tells of: where the sessions are, the data directory's disk, and Redis if there is one.
    func healthParts(_ runtime: AgentRuntime, _ redis: RedisClient?) -> [HealthPart] {
        let timeout = Duration.milliseconds(healthMilliseconds)
        let isOfFiles = postgres == nil
        let threads = BlockingThreads(count: 1)
        var parts = [
            HealthPart("disk", isRequired: true, timeout: timeout) { [dataDirectory, minFreeBytes] in
                let problem = isOfFiles ? await runtime.storageProblem : nil
                if let problem { return problem }
                return await threads.run { HealthPart.problem(of: dataDirectory, minFreeBytes) }
            }
        ]
        if !isOfFiles {
            parts.insert(
                HealthPart("database", isRequired: true, timeout: timeout) { await runtime.storageProblem }, at: 0)
        }
        if let redis { parts.append(.redis(redis, timeout: timeout)) }
        return parts
    }
}

extension AgentRuntime {
    fileprivate var storageProblem: String? {
        get async {
            do throws(StoreError) {
                try await checkStorage()
                return nil
            } catch {
                return error.message
            }
        }
    }
}

extension HealthPart {
    /// Whether a directory takes a file, and its disk has room for more.
    fileprivate static func problem(of directory: String, _ minFreeBytes: Int) -> String? {
        var status = statvfs()
        guard statvfs(directory, &status) == 0 else { return "the data directory cannot be read" }
        let free = Int(status.f_bavail) * Int(status.f_frsize)
        guard free >= minFreeBytes else {
            return "the disk has \(free >> 20) MiB left, and \(minFreeBytes >> 20) are needed"
        }
        let path = directory + "/.health-\(UInt64.random(in: .min ... .max))"
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { return "the data directory takes no file" }
        defer {
            close(file)
            unlink(path)
        }
        return write(file, "ok\n", 3) == 3 && fsync(file) == 0 ? nil : "a file in the data directory cannot be written"
    }

    /// Whether Redis answers. Without it everything works, with less in common between servers.
    fileprivate static func redis(_ client: RedisClient, timeout: Duration) -> HealthPart {
        HealthPart("redis", isRequired: false, timeout: timeout) {
            do throws(RedisError) {
                try await client.ping(milliseconds: Int(timeout.components.seconds) * 1000)
                return nil
            } catch {
                return "Redis does not answer"
            }
        }
    }
}
