internal import CTauSystem
internal import Glibc

/// A signal from any thread to one that waits in `waitForInput`. It stays set.
package final class EventDescriptor: Sendable {
    private let descriptor: FileDescriptor

    package init() throws(SystemError) {
        let number = tau_event_descriptor()
        guard number >= 0 else { throw .last("eventfd") }
        descriptor = FileDescriptor(adopting: number)
    }

    /// Readable once it was signalled.
    package var number: Int32 { descriptor.number }

    package func signal() {
        var one: UInt64 = 1
        // It fails only when the counter is full, and then it is set.
        _ = write(descriptor.number, &one, 8)
    }
}

/// A pipe; both ends close when their owners end.
package struct Pipe: ~Copyable, Sendable {
    package let reading: FileDescriptor
    package let writing: FileDescriptor

    package init() throws(SystemError) {
        var numbers: [Int32] = [-1, -1]
        guard tau_pipe(&numbers) == 0 else { throw .last("pipe2") }
        reading = FileDescriptor(adopting: numbers[0])
        writing = FileDescriptor(adopting: numbers[1])
    }

    /// Closes this process's writing end, so that the reading end ends when the last copy elsewhere is closed.
    package consuming func closingWritingEnd() -> FileDescriptor { reading }
}

/// Which of the descriptors can be read without waiting, or have ended; all false when the time is over first.
/// A negative descriptor is left out.
package func waitForInput(_ descriptors: [Int32], milliseconds: Int) throws(SystemError) -> [Bool] {
    var entries = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
    let timeout = Int32(clamping: max(0, milliseconds))
    if poll(&entries, nfds_t(entries.count), timeout) < 0, errno != EINTR { throw .last("poll") }
    return entries.map { $0.revents != 0 }
}

/// Milliseconds on a clock that never jumps.
package func monotonicMilliseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int(time.tv_sec) * 1000 + Int(time.tv_nsec) / 1_000_000
}

/// Milliseconds since 1970, as the machine's clock has it.
package func wallClockMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
}

/// Bytes in memory that a child can read as a file.
package func memoryFile(_ bytes: [UInt8]) throws(SystemError) -> FileDescriptor {
    let number = tau_memory_file("data", bytes, bytes.count)
    guard number >= 0 else { throw .last("memfd_create") }
    return FileDescriptor(adopting: number)
}

extension Array<UInt8> {
    /// Where `other` first lies at or after `start`; never for an empty one. Time is linear even for hostile texts.
    package func firstOffset(of other: [UInt8], from start: Int = 0) -> Int? {
        guard !other.isEmpty, start + other.count <= count else { return nil }
        let found = withUnsafeBytes { tau_find($0.baseAddress?.advanced(by: start), count - start, other, other.count) }
        return found < 0 ? nil : start + found
    }
}
