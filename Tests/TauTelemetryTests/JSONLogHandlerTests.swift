import Foundation
import Logging
import TauCore
import TauTelemetry
import Testing

@Suite struct JSONLogHandlerTests {
    /// What a logger on a directory of its own has written to `combined.log` and `error.log`.
    func written(_ level: Logger.Level = .info, _ body: (Logger) -> Void) throws -> (
        combined: [JSONValue], errors: [JSONValue]
    ) {
        let directory = NSTemporaryDirectory() + "tau-log-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let output = try LogOutput(directory: directory)
        body(
            Logger(label: "test") { label in
                JSONLogHandler(label: label, level: level, now: { Timestamp(milliseconds: 0) }, output: output)
            })
        func lines(_ name: String) throws -> [JSONValue] {
            let text = try String(contentsOfFile: directory + "/" + name, encoding: .utf8)
            return try text.split(separator: "\n").map { try JSONValue(parsing: String($0)) }
        }
        return (try lines("combined.log"), try lines("error.log"))
    }

    @Test func `each message is one line of JSON, errors also in their own file`() throws {
        let (combined, errors) = try written { logger in
            var logger = logger
            logger[metadataKey: "run"] = "r1"
            logger.debug("not shown")
            logger.info("hello", metadata: ["count": "3", "run": "r2"])
            logger.error("bad")
        }
        #expect(
            combined == [
                [
                    "time": "1970-01-01T00:00:00.000Z", "level": "info", "logger": "test", "message": "hello",
                    "count": "3", "run": "r2",
                ],
                [
                    "time": "1970-01-01T00:00:00.000Z", "level": "error", "logger": "test", "message": "bad",
                    "run": "r1",
                ],
            ])
        #expect(errors == [combined[1]])
    }

    @Test func `nothing in a value can begin another line`() throws {
        let (combined, _) = try written { logger in
            logger.info("a\nb", metadata: ["agent": "x\r\n{\"level\":\"error\"}\u{0}\u{2028}"])
        }
        #expect(combined.count == 1)
        #expect(combined[0]["message"] == "a\nb")
    }

    @Test func `long values are cut`() throws {
        let (combined, _) = try written { logger in
            logger.info("long", metadata: ["value": "\(String(repeating: "é", count: 10_000))"])
        }
        #expect((combined[0]["value"]?.string?.utf8.count ?? 0) <= 4100)
    }
}
