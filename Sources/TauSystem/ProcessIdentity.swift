internal import Glibc

/// A number of 16 bytes that belongs to a file, and for as long as this object lives to this process: the next process on the same file
/// goes on under it, and knows that the one before has ended.
package final class ProcessIdentity: Sendable {
    package let bytes: [UInt8]
    private let file: FileDescriptor

    /// Nil where another process has the file, or it cannot be used.
    package init?(path: String) {
        let number = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard number >= 0 else { return nil }
        file = FileDescriptor(adopting: number)
        guard flock(number, LOCK_EX | LOCK_NB) == 0 else { return nil }
        var known = (try? file.readAll(limit: 64)) ?? []
        if known.count != 16 {
            known = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
            guard ftruncate(number, 0) == 0, lseek(number, 0, SEEK_SET) == 0, (try? file.write(known)) != nil else {
                return nil
            }
        }
        bytes = known
    }
}
