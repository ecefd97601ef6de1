import Foundation
import TauCore
import TauTestKit
import Testing

/// Sets what a program takes for the time of day; nil where it is not installed.
private let faketime = ["x86_64", "aarch64"].map { "/usr/lib/\($0)-linux-gnu/faketime/libfaketime.so.1" }
    .first { FileManager.default.fileExists(atPath: $0) }

/// A server whose clock is set days forth and back while it works: what counts time does not count with that clock.
@Suite(
    .ownThreads, .timeLimit(.minutes(3)),
    .enabled(if: faketime != nil, "faketime is not installed: run the tests with `make test`"))
struct ClockJumpTests {
    /// What the server takes for the time of day, as a distance from the right one.
    private struct FakeClock {
        let path: String

        init(in directory: TemporaryDirectory) throws {
            path = directory.path + "/clock"
            try set("+0")
        }

        /// Such as `+2d`.
        func set(_ distance: String) throws { try Data(distance.utf8).write(to: URL(fileURLWithPath: path)) }

        func server(in directory: TemporaryDirectory, _ more: [String: String]) throws -> TauProcess {
            let variables = [
                "LD_PRELOAD": faketime ?? "", "FAKETIME_TIMESTAMP_FILE": path, "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            ]
            // The library changes the environment where it comes first, which moves the arguments away from where Swift looks for them.
            return try TauProcess(
                in: directory, environment: variables.merging(more) { _, new in new }, starter: "/usr/bin/env")
        }
    }

    @Test func `a limit gives nothing back, and takes nothing away`() async throws {
        let directory = try TemporaryDirectory()
        let clock = try FakeClock(in: directory)
        let server = try clock.server(
            in: directory, ["TAU_LIMITS_REQUESTS": "3", "TAU_LIMITS_WINDOW_SECONDS": "36000"])
        let client = APIClient(server)
        let created = try await client.send("POST", "/sessions", [:])
        let before = try #require(created.json["createdAt"]?.string)
        try clock.set("-2d")
        let later = try await client.send("POST", "/sessions", [:])
        // The clock did jump.
        #expect(try #require(later.json["createdAt"]?.string) < before)
        #expect(later.status == 201)
        #expect(try await client.send("GET", "/sessions").status == 200)
        for distance in ["+2d", "-2d", "+0"] {
            try clock.set(distance)
            #expect(try await client.send("GET", "/sessions").status == 429, "\(distance)")
        }
        server.stop()
    }

    @Test func `nobody takes the session of a run at work, and its budget is charged once`() async throws {
        let database = try TemporaryDirectory()
        let directories = try (0..<2).map { _ in try TemporaryDirectory() }
        let clock = try FakeClock(in: directories[0])
        let script = #"{"replies": [{"content": "Fine.", "usage": {"input": 40, "output": 20}, "delayMs": 5000}]}"#
        try Data(script.utf8).write(to: URL(fileURLWithPath: database.path + "/script.json"))
        let variables = try TestDatabase.variables(for: database).merging([
            "TAU_MODELS_SCRIPT": database.path + "/script.json", "TAU_BUDGET_TOKENS": "1000000",
        ]) { _, new in new }
        let jumping = try clock.server(in: directories[0], variables)
        let other = try TauProcess(in: directories[1], environment: variables)
        let (here, there) = (APIClient(jumping), APIClient(other))
        let session = try await here.newSession()
        let run = try await here.send("POST", "/sessions/\(session)/runs", ["message": "Go."]).json
        let id = try #require(run["id"]?.string)
        // The call's hold is of this month, whatever the clock says later.
        while try await there.get("/usage")["budget"]?["held"] == 0 {}
        var (refusals, calls) = (0, 1)
        var distance = "+2d"
        var status = run["status"]
        while status == "queued" || status == "running" {
            try clock.set(distance)
            distance = distance == "+2d" ? "-2d" : "+2d"
            let refused = try await there.send("POST", "/sessions/\(session)/runs", ["message": "Mine."])
            status = try await here.get("/runs/\(id)")["status"]
            guard status == "queued" || status == "running" else {
                // The first run was over when this came.
                if refused.status == 202 { calls += 1 }
                break
            }
            #expect(refused.status == 409, "\(refused.json)")
            #expect(try await here.send("GET", "/health").status == 200)
            refusals += 1
        }
        #expect(status == "completed" && refusals > 5, "\(refusals)")
        try clock.set("+0")
        // The hold may have been charged in full meanwhile; what counts in the end is the call.
        var usage = try await there.get("/usage")
        let deadline = ContinuousClock.now + .seconds(20)
        while usage["budget"]?["held"] != 0 || usage["budget"]?["used"]?.integer != 60 * calls,
            ContinuousClock.now < deadline
        {
            usage = try await there.get("/usage")
        }
        #expect(usage["budget"]?["held"] == 0 && usage["budget"]?["used"]?.integer == 60 * calls, "\(usage)")
        #expect(try await there.get("/sessions/\(session)/context")["messages"]?.array?.count == 2 * calls)
        jumping.stop()
        other.stop()
    }
}
