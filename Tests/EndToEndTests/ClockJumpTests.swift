import Foundation
import TauCore
import TauTestKit
import Testing

/// Makes the library that sets a clock.
private let compiler = ["/usr/bin/clang", "/usr/bin/cc"].first { FileManager.default.isExecutableFile(atPath: $0) }

/// A server whose clock is set days forth and back while it works: what counts time does not count with that clock.
@Suite(
    .ownThreads, .timeLimit(.minutes(3)),
    .enabled(if: compiler != nil, "there is no compiler for C"))
struct ClockJumpTests {
    /// What the server takes for the time of day, as a distance from the right one. Timers and the clocks that only go forth are as ever,
    /// other than with libfaketime, which moves the timers, too.
    private struct FakeClock {
        private let path: String
        private let library: String

        private static let source = """
            #define _GNU_SOURCE
            #include <errno.h>
            #include <fcntl.h>
            #include <stdlib.h>
            #include <sys/syscall.h>
            #include <sys/time.h>
            #include <time.h>
            #include <unistd.h>

            static long distance(void) {
                char text[32] = {0};
                int before = errno;
                int file = open(getenv("TEST_CLOCK"), O_RDONLY | O_CLOEXEC);
                if (file >= 0) {
                    if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
                    close(file);
                }
                errno = before;
                return atol(text);
            }

            int clock_gettime(clockid_t clock, struct timespec *now) {
                int result = syscall(SYS_clock_gettime, clock, now);
                if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += distance();
                return result;
            }

            int gettimeofday(struct timeval *restrict now, void *restrict zone) {
                struct timespec exact;
                (void)zone;
                if (clock_gettime(CLOCK_REALTIME, &exact) != 0) return -1;
                now->tv_sec = exact.tv_sec;
                now->tv_usec = exact.tv_nsec / 1000;
                return 0;
            }

            time_t time(time_t *out) {
                struct timespec exact;
                clock_gettime(CLOCK_REALTIME, &exact);
                if (out) *out = exact.tv_sec;
                return exact.tv_sec;
            }
            """

        init(in directory: TemporaryDirectory) throws {
            path = directory.path + "/clock"
            library = directory.path + "/libclock.so"
            try set(days: 0)
            let source = directory.path + "/clock.c"
            try Data(Self.source.utf8).write(to: URL(fileURLWithPath: source))
            let process = Process()
            process.executableURL = URL(fileURLWithPath: try #require(compiler))
            process.arguments = ["-shared", "-fPIC", "-O1", "-o", library, source]
            try process.run()
            process.waitUntilExit()
            try #require(process.terminationStatus == 0)
        }

        func set(days: Int) throws {
            try Data("\(days * 86_400)".utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
        }

        func server(in directory: TemporaryDirectory, _ more: [String: String]) throws -> TauProcess {
            try TauProcess(
                in: directory,
                environment: ["LD_PRELOAD": library, "TEST_CLOCK": path].merging(more) { _, new in new })
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
        try clock.set(days: -2)
        let later = try await client.send("POST", "/sessions", [:])
        // The clock did jump.
        #expect(try #require(later.json["createdAt"]?.string) < before)
        #expect(later.status == 201)
        #expect(try await client.send("GET", "/sessions").status == 200)
        for days in [2, -2, 0] {
            try clock.set(days: days)
            #expect(try await client.send("GET", "/sessions").status == 429, "\(days)")
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
        var days = 2
        var status = run["status"]
        while status == "queued" || status == "running" {
            try clock.set(days: days)
            days = -days
            let refused = try await there.send("POST", "/sessions/\(session)/runs", ["message": "Mine."])
            status = try await here.get("/runs/\(id)")["status"]
            guard status == "queued" || status == "running" else {
                // The first run was over when this came.
                if refused.status == 202 {
                    calls += 1
                    let second = try #require(refused.json["id"]?.string)
                    while try await there.get("/runs/\(second)")["status"] != "completed" {}
                }
                break
            }
            #expect(refused.status == 409, "\(refused.json)")
            #expect(try await here.send("GET", "/health").status == 200)
            refusals += 1
        }
        #expect(status == "completed" && refusals > 5, "\(refusals)")
        try clock.set(days: 0)
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
