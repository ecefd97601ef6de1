import Foundation
import Logging
import TauCore
import Testing

@testable import TauTelemetry

@Suite(.timeLimit(.minutes(1))) struct ServerLogTests {
    /// A directory for logs that goes with its last reference.
    private final class Directory: Sendable {
        let path = NSTemporaryDirectory() + "tau-log-" + UUID().uuidString
        deinit { try? FileManager.default.removeItem(atPath: path) }

        func text(_ name: String) -> String {
            (try? String(contentsOfFile: path + "/" + name, encoding: .utf8)) ?? ""
        }
        func lines(_ name: String) throws -> [JSONValue] {
            try text(name).split(separator: "\n").map { try JSONValue(parsing: String($0)) }
        }
    }

    private static func output(_ directory: Directory, _ limits: LogLimits = LogLimits()) throws -> LogOutput {
        try LogOutput(directory: directory.path, limits: limits) { count in
            ServerLogHandler.Format.json.droppedLine(count, at: Timestamp(milliseconds: 0))
        }
    }

    private static func logger(_ output: LogOutput, _ level: Logger.Level = .info) -> Logger {
        Logger(label: "test") { label in
            ServerLogHandler(label: label, level: level, now: { Timestamp(milliseconds: 0) }, output: output)
        }
    }

    /// What a logger on a directory of its own has written to `combined.log` and `error.log`.
    private func written(_ body: (Logger) -> Void) async throws -> (combined: [JSONValue], errors: [JSONValue]) {
        let directory = Directory()
        let output = try Self.output(directory)
        body(Self.logger(output))
        await output.flush()
        return (try directory.lines("combined.log"), try directory.lines("error.log"))
    }

    @Test func `each message is one line of JSON, errors also in their own file`() async throws {
        let (combined, errors) = try await written { logger in
            var logger = logger
            logger[metadataKey: "run_id"] = "r1"
            logger.debug("not shown")
            logger.info("hello", metadata: ["count": "3", "run_id": "r2"])
            logger.error("bad")
        }
        #expect(
            combined == [
                [
                    "ts": "1970-01-01T00:00:00.000Z", "level": "info", "logger": "test", "message": "hello",
                    "run_id": "r2", "fields": ["count": "3"],
                ],
                [
                    "ts": "1970-01-01T00:00:00.000Z", "level": "error", "logger": "test", "message": "bad",
                    "run_id": "r1",
                ],
            ])
        #expect(errors == [combined[1]])
    }

    @Test func `nothing in a value can begin another line`() async throws {
        let (combined, _) = try await written { logger in
            logger.info("a\nb", metadata: ["agent": "x\r\n{\"level\":\"error\"}\u{0}\u{2028}"])
        }
        #expect(combined.count == 1)
        #expect(combined[0]["message"] == "a\nb")
        let line = LogLine(
            time: Timestamp(milliseconds: 0), label: "x", level: .warning, message: "a\nb\u{1B}[2J",
            metadata: ["n": "1 2", "run_id": "r"])
        #expect(
            String(decoding: line.text(isColoured: false), as: UTF8.self)
                == "00:00:00.000 WARNING  a·b·[2J  run_id=r  n=\"1 2\"\n")
    }

    @Test func `long values are cut`() async throws {
        let (combined, _) = try await written { logger in
            logger.info("long", metadata: ["value": "\(String(repeating: "é", count: 10_000))"])
        }
        #expect((combined[0]["fields"]?["value"]?.string?.utf8.count ?? 0) <= 4100)
    }

    @Test(arguments: [
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        (#"{"password":"a b","user":"x"}"#, #"{"password":"*** b","user":"x"}"#),
        ("api_key=abc&user=x", "api_key=***&user=x"), ("X-Api-Key: 12345678", "X-Api-Key: ***"),
        ("postgres://tau:s3cret@db:5432/tau", "postgres://tau:***@db:5432/tau"),
        ("redis://:s3cret@host", "redis://:***@host"), ("http://host:80/a@b", "http://host:80/a@b"),
        ("sk-abcdefgh12345678 is a key", "*** is a key"), ("task-list-of-many-words", "task-list-of-many-words"),
        ("tau_0123456789abcdef_0123456789abcdef0123456789abcdef", "***"),
        ("tau_http_requests_total", "tau_http_requests_total"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_d", "***"), ("AKIAIOSFODNN7EXAMPLE", "***"),
        ("AWS_SECRET_ACCESS_KEY=wJalr/XUtn+FEMI/K7 go", "AWS_SECRET_ACCESS_KEY=*** go"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", nil as String?),
        ("totalTokens: 12, tokens=7", "totalTokens: 12, tokens=7"), ("token: 7", "token: ***"),
        (#"{\"token\":\"abc\"}"#, #"{\"token\":\"***\"}"#), ("no secret here", "no secret here"),
        ("ünïcode", "ünïcode"),
    ])
    func `what looks like a secret is not written`(_ text: String, _ expected: String?) {
        let shown = Redaction.redacted(text)
        if let expected {
            #expect(shown == expected)
        } else {
            #expect(!shown.contains("MIIE") && shown.contains("***"))
        }
    }

    @Test func `large files are turned over, and the oldest goes`() async throws {
        let directory = Directory()
        var limits = LogLimits()
        limits.maxFileBytes = 65_536
        limits.keptFiles = 2
        let output = try Self.output(directory, limits)
        let logger = Self.logger(output)
        for number in 0..<4000 {
            logger.info("line", metadata: ["number": "\(number)"])
            if number % 100 == 0 { await output.flush() }
        }
        await output.flush()
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted()
        #expect(names == ["combined.log", "combined.log.1", "combined.log.2", "error.log"])
        let lines =
            try directory.lines("combined.log.2") + directory.lines("combined.log.1")
            + directory.lines("combined.log")
        let numbers = lines.compactMap { $0["fields"]?["number"]?.string.flatMap { Int($0) } }
        // None is lost in between, none is written twice.
        #expect(numbers.last == 3999 && numbers == Array((4000 - numbers.count)..<4000))
        for name in names { #expect(directory.text(name).utf8.count <= 65_536) }
    }

    @Test func `after the files were moved away new ones are begun`() async throws {
        let directory = Directory()
        let output = try Self.output(directory)
        let logger = Self.logger(output)
        logger.error("first")
        await output.flush()
        for name in ["combined.log", "error.log"] {
            try FileManager.default.moveItem(
                atPath: directory.path + "/" + name, toPath: directory.path + "/old-" + name)
        }
        logger.error("second")
        await output.flush()
        output.reopen()
        logger.error("third")
        await output.flush()
        for name in ["combined.log", "error.log"] {
            #expect(try directory.lines("old-" + name).compactMap { $0["message"]?.string } == ["first", "second"])
            #expect(try directory.lines(name).compactMap { $0["message"]?.string } == ["third"])
        }
    }

    @Test func `a full queue drops lines and says how many, and nobody waits for it`() async throws {
        let directory = Directory()
        var limits = LogLimits()
        limits.queueBytes = 1000
        let output = try Self.output(directory, limits)
        let line = Array((String(repeating: "x", count: 400) + "\n").utf8)
        let first = Array("{}\n".utf8)
        output.write(first, isError: false)
        // More than fits in one go: however fast the writer is, the third does not fit beside the two before.
        for _ in 0..<2000 { output.write(line, isError: false) }
        await output.flush()
        let text = directory.text("combined.log")
        let written = text.split(separator: "\n").filter { $0.first == "x" }.count
        let dropped = text.split(separator: "\n").compactMap { line -> Int? in
            (try? JSONValue(parsing: String(line)))?["fields"]?["count"]?.string.flatMap { Int($0) }
        }.reduce(0, +)
        #expect(written + dropped == 2000 && dropped > 0, "\(written) written, \(dropped) dropped")
    }

    @Test func `a full disk loses lines and nothing else`() async throws {
        let directory = Directory()
        try FileManager.default.createDirectory(atPath: directory.path, withIntermediateDirectories: true)
        // Every write to it fails for want of space.
        try FileManager.default.createSymbolicLink(
            atPath: directory.path + "/combined.log", withDestinationPath: "/dev/full")
        let output = try Self.output(directory)
        let logger = Self.logger(output)
        logger.error("lost in one, kept in the other")
        await output.flush()
        #expect(try directory.lines("error.log").first?["message"] == "lost in one, kept in the other")
        try FileManager.default.removeItem(atPath: directory.path + "/combined.log")
        output.reopen()
        logger.info("there is room again")
        await output.flush()
        #expect(try directory.lines("combined.log").map { $0["message"] } == ["there is room again"])
    }
}
