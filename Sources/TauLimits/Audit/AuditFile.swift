internal import Crypto
internal import Glibc
package import TauCore
package import TauSystem

/// The audit log as a file of JSON lines, each with the hash of the line before it: nothing in it can be changed, taken out or put in
/// without the chain breaking behind it.
///
/// Several processes may write; each line is durable before its event counts.
package final class AuditFile: AuditLog {
    /// The hash that stands before the first line.
    static let beginning = String(repeating: "0", count: 64)
    /// Bytes of one line at the most; longer facts are cut.
    static let maxLineBytes = 32 << 10
    private static let maxFactBytes = 200

    private let path: String
    private let threads: BlockingThreads

    package init(path: String, threads: BlockingThreads) {
        self.path = path
        self.threads = threads
    }

    package func write(_ event: AuditEvent) async throws(StoreError) {
        try await threads.run { [path] () throws(StoreError) in try Self.append(event, to: path) }
    }

    private static func append(_ event: AuditEvent, to path: String) throws(StoreError) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("open") }
        defer { close(descriptor) }
        // Its end is another one's until then.
        guard flock(descriptor, LOCK_EX) == 0 else { throw failure("lock") }
        let last = try lastLine(descriptor)
        let line = line(of: event, number: (last.map(number) ?? 0) + 1, after: last.map(hash) ?? beginning)
        guard Glibc.write(descriptor, line, line.count) == line.count else { throw failure("write") }
        guard fsync(descriptor) == 0 else { throw failure("fsync") }
    }

    private static func failure(_ call: String) -> StoreError {
        StoreError(
            .unavailable, "the audit log cannot be written", detail: "\(call): \(String(cString: strerror(errno)))")
    }

    /// The last whole line. One without its end was torn by a crash, and nobody was told that it was written: it is cut off.
    private static func lastLine(_ descriptor: Int32) throws(StoreError) -> ArraySlice<UInt8>? {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("fstat") }
        let size = Int(status.st_size)
        // Two lines are enough to find one that is whole.
        let start = max(0, size - 2 * maxLineBytes)
        var bytes = [UInt8](repeating: 0, count: size - start)
        guard pread(descriptor, &bytes, bytes.count, off_t(start)) == bytes.count else { throw failure("read") }
        let end = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        if end < bytes.count, ftruncate(descriptor, off_t(start + end)) != 0 { throw failure("truncate") }
        guard end > 0 else { return nil }
        let begin = bytes[..<(end - 1)].lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        return bytes[begin..<(end - 1)]
    }

    private static func number(_ line: ArraySlice<UInt8>) -> Int {
        (try? JSONValue(parsing: line))?["number"]?.integer ?? 0
    }

    static func hash(_ line: ArraySlice<UInt8>) -> String { SHA256.hash(data: line).hexadecimalDigits }

    private static func line(of event: AuditEvent, number: Int, after previous: String) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("number", number)
            writer.member("time", event.time.description)
            writer.member("action", event.action)
            writer.member("target", cut(event.target))
            writer.member("outcome", cut(event.outcome))
            writer.member("tenantId", orNull: event.owner?.tenantID)
            writer.member("userId", orNull: event.owner?.userID)
            writer.member("keyId", orNull: event.keyID)
            writer.member("address", orNull: event.address)
            writer.member("requestId", orNull: event.requestID)
            if !event.details.isEmpty {
                writer.key("details")
                writer.object { writer in
                    for detail in event.details.prefix(8) { writer.member(cut(detail.name), cut(detail.value)) }
                }
            }
            writer.member("previous", previous)
        }
        return writer.bytes + [UInt8(ascii: "\n")]
    }

    private static func cut(_ text: String) -> String {
        text.utf8.count <= maxFactBytes ? text : String(decoding: text.utf8.prefix(maxFactBytes), as: UTF8.self)
    }
}

/// What is found when the chain is looked through.
package struct AuditReport: Sendable {
    /// Lines that are whole and in their place.
    package var lines = 0
    /// The hash of the last line: kept elsewhere, it also tells whether lines were cut off at the end.
    package var lastHash: String
    /// The first line, from 1, that is not what it was, and why; nil if all are.
    package var broken: (line: Int, reason: String)?

    /// Reads the whole file. Throws where it cannot be read.
    package init(of path: String) throws(StoreError) {
        lastHash = AuditFile.beginning
        guard let file = fopen(path, "re") else {
            if errno == ENOENT { return }
            throw StoreError(.unavailable, "\(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { fclose(file) }
        var pointer: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(pointer) }
        while case let count = getline(&pointer, &capacity, file), count > 0, let pointer {
            let bytes = UnsafeRawBufferPointer(start: pointer, count: count)
            let line = Array(bytes)
            guard line.last == UInt8(ascii: "\n") else {
                broken = (lines + 1, "it has no end: a crash may have cut it off")
                return
            }
            guard let json = try? JSONValue(parsing: line.dropLast()), json.object != nil else {
                broken = (lines + 1, "it is no JSON object")
                return
            }
            guard json["number"]?.integer == lines + 1, json["previous"]?.string == lastHash else {
                broken = (lines + 1, "it does not follow the line before it")
                return
            }
            lines += 1
            lastHash = AuditFile.hash(line.dropLast())
        }
    }
}
