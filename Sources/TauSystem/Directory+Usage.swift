internal import Glibc

/// What a directory holds, with everything below it.
package struct DiskUsage: Sendable, Hashable {
    /// Bytes that are allocated on the disk, so that a file with holes counts for what it takes up.
    package var bytes: Int64
    /// Files, directories and links.
    package var files: Int

    package init(bytes: Int64 = 0, files: Int = 0) {
        self.bytes = bytes
        self.files = files
    }

    /// Whether it is within both bounds.
    package func fits(in bound: DiskUsage) -> Bool { bytes <= bound.bytes && files <= bound.files }

    package static func + (one: DiskUsage, other: DiskUsage) -> DiskUsage {
        DiskUsage(bytes: one.bytes + other.bytes, files: one.files + other.files)
    }
}

extension Directory {
    /// How deep `usage` goes. Each level on the way costs an open descriptor.
    package static let maxUsageDepth = 256

    /// Counts what is below, without following links and without leaving the file system. A file with several names
    /// counts once. Directories that may not be read and what vanishes meanwhile are passed by.
    ///
    /// Counting ends one past `maxFiles`, or when `isStopped` says so. Nil: directories lie deeper than
    /// `maxUsageDepth`, so nobody can tell.
    package func usage(maxFiles: Int, isStopped: () -> Bool) throws(SystemError) -> DiskUsage? {
        var usage = DiskUsage()
        var counted: Set<UInt64> = []
        // The open directories on the way, each with those of its own that are still to come.
        var way: [(directory: Directory, waiting: [[UInt8]])] = []
        func enter(_ directory: Directory) throws(SystemError) {
            var waiting: [[UInt8]] = []
            for entry in try directory.entries(limit: maxFiles + 1 - usage.files) {
                guard let (status, bytes) = try? directory.allocation(of: entry.name) else { continue }
                usage.files += 1
                guard status.kind == .directory || status.linkCount < 2 || counted.insert(status.inode).inserted
                else { continue }
                usage.bytes += bytes
                if status.kind == .directory { waiting.append(entry.name) }
            }
            way.append((directory, waiting))
        }
        try enter(self)
        while let next = way.last, usage.files <= maxFiles, !isStopped() {
            guard let name = next.waiting.last else {
                way.removeLast()
                continue
            }
            way[way.count - 1].waiting.removeLast()
            guard let child = try? next.directory.openDirectory(name, links: .refused) else { continue }
            guard way.count < Self.maxUsageDepth else { return nil }
            do throws(SystemError) {
                try enter(child)
            } catch  where error.code == ENOENT {
                // Removed since.
            }
        }
        return usage
    }

    /// What the whole file system holds that the directory lies in.
    package func fileSystemUsage() throws(SystemError) -> DiskUsage {
        let value = try fileSystem()
        return DiskUsage(
            bytes: Self.bytes(UInt64(value.f_blocks) - min(UInt64(value.f_blocks), UInt64(value.f_bfree)), value),
            files: Int(clamping: UInt64(value.f_files) - min(UInt64(value.f_files), UInt64(value.f_ffree))))
    }

    /// The status of a name, and the bytes that it takes up on the disk. These are no part of the status, because they
    /// change when the file system gets round to writing.
    private func allocation(of name: [UInt8]) throws(SystemError) -> (status: FileStatus, bytes: Int64) {
        var value = stat()
        guard fstatat(descriptor.number, Self.terminated(name), &value, AT_SYMLINK_NOFOLLOW) == 0 else {
            throw .last("fstatat")
        }
        return (FileStatus(value), value.allocatedBytes)
    }

    /// Bytes of the file system that are left for those who are not root.
    package func availableBytes() throws(SystemError) -> Int64 {
        let value = try fileSystem()
        return Self.bytes(UInt64(value.f_bavail), value)
    }

    private func fileSystem() throws(SystemError) -> statvfs {
        var value = statvfs()
        guard fstatvfs(descriptor.number, &value) == 0 else { throw .last("fstatvfs") }
        return value
    }

    private static func bytes(_ blocks: UInt64, _ fileSystem: statvfs) -> Int64 {
        let (bytes, isOver) = blocks.multipliedReportingOverflow(by: UInt64(fileSystem.f_frsize))
        return isOver ? .max : Int64(clamping: bytes)
    }
}

/// What these processes hold open on a device although it has no name any more, up to `limit` open files. What cannot be
/// looked at is passed by.
package func namelessUsage(of processes: [Int32], onDevice device: UInt64, limit: Int = 20_000) -> DiskUsage {
    var usage = DiskUsage()
    var counted: Set<UInt64> = []
    var looked = 0
    for process in processes {
        guard looked < limit, let files = try? Directory(path: "/proc/\(process)/fd"),
            let names = try? files.names(limit: limit - looked)
        else { continue }
        looked += names.count
        for name in names {
            var value = stat()
            let path = "/proc/\(process)/fd/" + String(decoding: name, as: UTF8.self)
            guard stat(path, &value) == 0 else { continue }
            let status = FileStatus(value)
            guard status.linkCount == 0, status.device == device, counted.insert(status.inode).inserted else {
                continue
            }
            usage = usage + DiskUsage(bytes: value.allocatedBytes, files: 1)
        }
    }
    return usage
}

extension stat {
    /// `st_blocks` counts in 512 bytes, whatever the file system's blocks are (stat(2)).
    fileprivate var allocatedBytes: Int64 { Int64(st_blocks) &* 512 }
}
