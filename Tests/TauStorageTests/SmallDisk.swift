import TauTestKit

/// A file system in memory of a chosen size, mounted for as long as this lives. Needs root.
final class SmallDisk: Sendable {
    private let mount: StoreDirectory

    init(_ size: String) throws {
        mount = try StoreDirectory()
        try BuiltPrograms.run(["mount", "-t", "tmpfs", "-o", "size=\(size)", "tau-test", mount.path])
    }

    /// Lazily, for a file on it may still be open.
    deinit { _ = try? BuiltPrograms.run(["umount", "--lazy", mount.path]) }

    /// A new directory on it.
    func directory() throws -> StoreDirectory { try StoreDirectory(mount.path) }

    func resize(to size: String) throws { try BuiltPrograms.run(["mount", "-o", "remount,size=\(size)", mount.path]) }
}
