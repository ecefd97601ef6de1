internal import CTauSystem
internal import Glibc

/// Quotas of projects: the kernel counts and bounds what lies in a directory, whoever it belongs to (ext4 and XFS, mounted
/// with `prjquota`). Setting them needs root.
extension Directory {
    /// Whether the file system bounds what projects use.
    package var hasProjectQuota: Bool { tau_has_project_quota(descriptor.number) == 1 }

    /// Makes the directory a project of its own with these bounds, and reads them back. Answers the project's number, which
    /// is the directory's inode; nil if that has no place in a project's 32 bits.
    package func makeProject(bound: DiskUsage) throws(SystemError) -> UInt32? {
        guard let project = UInt32(exactly: try descriptor.status().inode) else { return nil }
        guard tau_set_project(descriptor.number, project) == 0 else { throw .last("FS_IOC_FSSETXATTR") }
        let (bytes, files) = (UInt64(bound.bytes), UInt64(bound.files))
        guard tau_set_project_limits(descriptor.number, project, bytes, files) == 0 else {
            throw .last("quotactl_fd")
        }
        let (_, inForce) = try projectUsage(project)
        guard inForce.files == bound.files, inForce.bytes == bound.bytes / 1024 * 1024 else {
            throw SystemError(call: "quotactl_fd", code: ENOTSUP)
        }
        return project
    }

    /// What a project uses, and its bounds.
    package func projectUsage(_ project: UInt32) throws(SystemError) -> (used: DiskUsage, bound: DiskUsage) {
        var (bytes, files, maxBytes, maxFiles) = (UInt64(0), UInt64(0), UInt64(0), UInt64(0))
        guard tau_project_usage(descriptor.number, project, &bytes, &files, &maxBytes, &maxFiles) == 0 else {
            throw .last("quotactl_fd")
        }
        return (
            DiskUsage(bytes: Int64(clamping: bytes), files: Int(clamping: files)),
            DiskUsage(bytes: Int64(clamping: maxBytes), files: Int(clamping: maxFiles))
        )
    }
}
