internal import AsyncHTTPClient
internal import Glibc
internal import NIOCore
internal import TauCore

/// How long it takes to stop with much at work, and to begin again.
extension ServerBench {
    /// A server that was killed while many runs were at work: until the next one is ready, with all of them interrupted.
    func restart() async throws -> [Figure] {
        let count = 1000
        let model = try await BenchPeer(.slowModel)
        let variables = ["OPENAI_BASE_URL=http://127.0.0.1:\(model.port)", "TAU_MODELS_DEFAULT=openai/slow"]
        let last = try await withServer("restart", variables) { url, process, _ in
            var last = ""
            for _ in 0..<count {
                let session = try await newSession(url)
                last = try await call(url, "/sessions/\(session)/runs", ["message": "Go."])["id"]?.string ?? ""
            }
            while try await call(url, "/runs/\(last)")["status"]?.string != "running" {
                try await Task.sleep(for: .milliseconds(10))
            }
            // What the record of runs has not written yet would not be found.
            try await Task.sleep(for: .seconds(2))
            kill(process, SIGKILL)
            return last
        }
        let milliseconds = try await withServer("restart", variables) { url, _, healthyAfter in
            guard try await call(url, "/runs/\(last)")["status"]?.string == "interrupted" else {
                throw ConfigurationFailure(key: "bench", problem: "a run was not interrupted")
            }
            return healthyAfter.milliseconds
        }
        try await model.shutdown()
        return [Figure("start after a kill with \(count) runs at work", milliseconds, "ms", atMost: 2000)]
    }

    /// A server that is told to stop while many follow runs that do not end by themselves: how much longer than the grace period it takes
    /// until all streams were told and the process is gone.
    func drain() async throws -> [Figure] {
        let (runCount, readersPerRun, graceSeconds) = (50, 4, 1)
        let model = try await BenchPeer(.slowModel)
        let variables = [
            "OPENAI_BASE_URL=http://127.0.0.1:\(model.port)", "TAU_MODELS_DEFAULT=openai/slow",
            "TAU_HTTP_DRAIN_SECONDS=\(graceSeconds)",
        ]
        let beyond = try await withServer("drain", variables) { url, process, _ in
            var streams: [HTTPClientResponse] = []
            for _ in 0..<runCount {
                let session = try await newSession(url)
                let run = try await call(url, "/sessions/\(session)/runs", ["message": "Go."])["id"]?.string ?? ""
                for _ in 0..<readersPerRun { streams.append(try await follow(run, url)) }
            }
            let start = ContinuousClock.now
            kill(process, SIGTERM)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for stream in streams { group.addTask { try await Self.requireInterrupted(stream) } }
                try await group.waitForAll()
            }
            while !Self.hasEnded(process) { try await Task.sleep(for: .milliseconds(1)) }
            return (ContinuousClock.now - start).milliseconds - Double(graceSeconds * 1000)
        }
        try await model.shutdown()
        let crowd = "\(runCount) runs and \(runCount * readersPerRun) streams"
        return [Figure("from SIGTERM with \(crowd) to the end, beyond the grace period", beyond, "ms", atMost: 1000)]
    }

    private static func requireInterrupted(_ stream: HTTPClientResponse) async throws {
        var body = try await stream.body.collect(upTo: 16 << 20)
        let text = body.readString(length: body.readableBytes) ?? ""
        guard text.contains("\"status\":\"interrupted\"") else {
            throw ConfigurationFailure(key: "bench", problem: "a stream was not told: \(text.suffix(300))")
        }
    }

    /// Leaves the process to who waits for it.
    private static func hasEnded(_ process: pid_t) -> Bool {
        var information = siginfo_t()
        return waitid(P_PID, id_t(process), &information, WEXITED | WNOWAIT | WNOHANG) == 0
            && information.si_signo == SIGCHLD
    }
}
