internal import Glibc
internal import TauCore

/// The directory of the journals, one of each process that writes, beside the session files. The calls block.
///
/// A journal's lock tells whether its process lives. It is made when the first record needs it.
final class JournalDirectory: Sendable {
    private let sessions: FileHandle
    private static let name = ".journal"
    private static let suffix = ".journal"
    private static let keptSuffix = ".kept"

    init(in sessions: FileHandle) { self.sessions = sessions }

    private func open() throws(StoreError) -> FileHandle? {
        let descriptor = openat(sessions.descriptor, Self.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if descriptor < 0, errno == ENOENT { return nil }
        guard descriptor >= 0 else { throw StoreError.system("open") }
        return FileHandle(descriptor)
    }

    private func make() throws(StoreError) -> FileHandle {
        guard mkdirat(sessions.descriptor, Self.name, 0o700) == 0 || errno == EEXIST else {
            throw StoreError.system("mkdir")
        }
        guard fsync(sessions.descriptor) == 0, let directory = try open() else { throw StoreError.system("fsync") }
        return directory
    }

    /// Makes a journal with room for its first records, locked by this process.
    func create(maxBytes: Int) throws(StoreError) -> JournalFile {
        let directory = try make()
        // Another process may take the new file for an orphan's in the moment before it is locked.
        for _ in 0..<100 {
            let name = String(UInt64.random(in: .min ... .max), radix: 16)
            let descriptor = openat(
                directory.descriptor, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw StoreError.system("open") }
            let handle = FileHandle(descriptor)
            guard try handle.lock() else { continue }
            var file = JournalFile(name: name + Self.suffix, handle: handle, maxBytes: maxBytes)
            do throws(StoreError) {
                guard try file.reserve(1) else { continue }
            } catch {
                unlinkat(directory.descriptor, name, 0)
                throw error
            }
            guard renameat(directory.descriptor, name, directory.descriptor, file.name) == 0 else {
                if errno == ENOENT { continue }
                throw StoreError.system("rename")
            }
            guard fsync(directory.descriptor) == 0 else { throw StoreError.system("fsync") }
            return file
        }
        throw StoreError(.unavailable, "no journal could be made")
    }

    /// Hands over each journal whose process has ended, locked, and removes it afterwards; the journals of one process in the order
    /// in which they were written.
    ///
    /// An error of `body` leaves the journal for the next try.
    func forEachOrphan(_ body: (String, FileHandle) throws(StoreError) -> Void) throws(StoreError) {
        guard let directory = try open() else { return }
        var orphans: [(name: String, handle: FileHandle, sequence: UInt64)] = []
        defer { for orphan in orphans { orphan.handle.unlock() } }
        for name in try directory.names() where !name.hasSuffix(Self.keptSuffix) {
            let descriptor = openat(directory.descriptor, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            let handle = FileHandle(descriptor)
            guard try handle.lock() else { continue }
            orphans.append((name, handle, 0))
            // Removed by another process, which was faster: its records are where they belong.
            var status = stat()
            guard fstat(descriptor, &status) == 0, status.st_nlink > 0 else {
                orphans.removeLast().handle.unlock()
                continue
            }
            orphans[orphans.count - 1].sequence = try JournalRecord.firstSequence(in: handle)
        }
        for orphan in orphans.sorted(by: { $0.sequence < $1.sequence }) {
            if orphan.name.hasSuffix(Self.suffix) { try body(orphan.name, orphan.handle) }
            remove(orphan.name, in: directory)
        }
    }

    /// Removes a journal that nobody needs any more.
    func remove(_ file: JournalFile) throws(StoreError) {
        guard let directory = try open() else { return }
        remove(file.name, in: directory)
    }

    /// A journal that could not be replayed wholly stays under another name, for people to look at.
    func setAside(_ name: String) throws(StoreError) {
        guard let directory = try open() else { return }
        guard renameat(directory.descriptor, name, directory.descriptor, name + Self.keptSuffix) == 0 else {
            throw StoreError.system("rename")
        }
    }

    private func remove(_ name: String, in directory: FileHandle) {
        // One that comes back is replayed once more, which changes nothing.
        unlinkat(directory.descriptor, name, 0)
        fsync(directory.descriptor)
    }
}
