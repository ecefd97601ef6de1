import Foundation
import TauCore
import TauSystem
import TauTestKit
import Testing

@testable import TauLimits

@Suite struct AuditFileTests {
    private static func path() throws -> String {
        let directory = NSTemporaryDirectory() + "tau-audit-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        return directory + "/audit.jsonl"
    }

    private static func event(_ number: Int) -> AuditEvent {
        var event = AuditEvent(
            action: "key.create", target: "k\(number)", outcome: "done", time: Timestamp(milliseconds: 1000))
        event.owner = Owner(tenantID: "acme", userID: "alice")
        event.details = [("note", "a \"quoted\"\nline")]
        return event
    }

    private static func filled(_ count: Int) async throws -> String {
        let path = try path()
        let log = AuditFile(path: path, threads: BlockingThreads(count: 2))
        for number in 1...count { try await log.write(event(number)) }
        return path
    }

    private static func lines(_ path: String) throws -> [String] {
        try String(contentsOfFile: path, encoding: .utf8).components(separatedBy: "\n").dropLast()
    }

    @Test func `what was written is a chain, and everything that is done to it is noticed`() async throws {
        let path = try await Self.filled(5)
        let report = try AuditReport(of: path)
        #expect(report.lines == 5 && report.broken == nil)
        #expect((try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int) == 0o600)
        let lines = try Self.lines(path)
        #expect(lines.allSatisfy { !$0.contains("\n") } && lines[0].contains(#""userId":"alice""#))
        func check(_ changed: [String], _ line: Int?) throws {
            try (changed.joined(separator: "\n") + "\n").write(toFile: path, atomically: false, encoding: .utf8)
            #expect(try AuditReport(of: path).broken?.line == line)
        }
        for index in 0..<4 {
            var changed = lines
            changed[index] = changed[index].replacing("alice", with: "mallory")
            // The line itself says nothing of its own hash; the next one does.
            try check(changed, index + 2)
            changed = lines
            changed.remove(at: index)
            try check(changed, index + 1)
            changed = lines
            changed.swapAt(index, index + 1)
            try check(changed, index + 1)
            changed = lines
            changed.insert(lines[index], at: index)
            try check(changed, index + 2)
        }
        // A last line that is changed or cut off is noticed by the hash that was kept elsewhere.
        try check(Array(lines.dropLast()), nil)
        #expect(try AuditReport(of: path).lastHash != report.lastHash)
        try check(lines, nil)
        #expect(try AuditReport(of: path).lastHash == report.lastHash)
        try check(["nonsense"], 1)
    }

    @Test func `a line that a crash has torn is cut off by the next one, at every byte`() async throws {
        let path = try await Self.filled(2)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        let second = try #require(bytes.firstIndex(of: UInt8(ascii: "\n"))) + 1
        for length in stride(from: second, to: bytes.count, by: 17) {
            try bytes.prefix(length).write(to: URL(fileURLWithPath: path))
            if length > second { #expect(try AuditReport(of: path).broken?.line == 2) }
            try await AuditFile(path: path, threads: BlockingThreads(count: 1)).write(Self.event(9))
            let report = try AuditReport(of: path)
            #expect(report.lines == 2 && report.broken == nil, "\(length)")
        }
    }

    @Test func `many who write at once make one chain`() async throws {
        let path = try Self.path()
        let logs = (0..<4).map { _ in AuditFile(path: path, threads: BlockingThreads(count: 2)) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<80 { group.addTask { try await logs[number % 4].write(Self.event(number)) } }
            try await group.waitForAll()
        }
        let report = try AuditReport(of: path)
        #expect(report.lines == 80 && report.broken == nil)
        #expect(Set(try Self.lines(path).compactMap { $0.firstMatch(of: /"target":"k\d+"/)?.output }).count == 80)
    }

    @Test func `where it cannot be written the caller hears it, and facts have bounds`() async throws {
        let log = AuditFile(path: "/nonexistent/audit.jsonl", threads: BlockingThreads(count: 1))
        let failure = await #expect(throws: StoreError.self) { try await log.write(Self.event(1)) }
        #expect(failure?.message.contains("/") == false)
        let path = try Self.path()
        var event = Self.event(1)
        event.target = String(repeating: "é", count: 100_000)
        event.details = (0..<100).map { ("d\($0)", String(repeating: "\u{1}", count: 10_000)) }
        let writer = AuditFile(path: path, threads: BlockingThreads(count: 1))
        for _ in 1...3 { try await writer.write(event) }
        #expect(try AuditReport(of: path).lines == 3)
        #expect(try AuditReport(of: try Self.path()).lines == 0)
    }
}
