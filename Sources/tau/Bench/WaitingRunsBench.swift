internal import AsyncHTTPClient
internal import Glibc
internal import NIOCore
internal import NIOHTTP1
internal import TauCore

/// What many runs cost that wait for a slow model, and how fast a cancel reaches it.
extension ServerBench {
    func waitingRuns() async throws -> [Figure] {
        let count = 1000
        let model = try await BenchPeer(.slowModel)
        let figures = try await withServer(
            "waiting", ["OPENAI_BASE_URL=http://127.0.0.1:\(model.port)", "TAU_MODELS_DEFAULT=openai/slow"]
        ) { url, process, _ in
            var runs: [String] = []
            for _ in 0..<count {
                let session = try await newSession(url)
                let run = try await call(url, "/sessions/\(session)/runs", ["message": "Go."])
                runs.append(run["id"]?.string ?? "")
            }
            // Until the last one has its first words.
            while try await call(url, "/runs/\(runs[count - 1])")["status"]?.string != "running" {
                try await Task.sleep(for: .milliseconds(10))
            }
            try await Task.sleep(for: .seconds(2))
            let before = Self.processorSeconds(process)
            try await Task.sleep(for: .seconds(5))
            let share = (Self.processorSeconds(process) - before) / 5 * 100
            let memory = Self.residentMegabytes(process)
            var cancels: [Double] = []
            for run in runs.prefix(100) { cancels.append(try await cancel(run, url)) }
            return [
                Figure("memory with \(count) runs that wait for a slow model", memory, "MB", atMost: 150),
                Figure("processor time of these runs, of one core", share, "%", atMost: 5),
                Figure(
                    "from a cancel until a run that waits for its model has ended, p99",
                    Timings(cancels).percentile(0.99), "ms", atMost: 100),
            ]
        }
        try await model.shutdown()
        return figures
    }

    /// How fast a cancel reaches a run whose command would take long: its processes are gone before it has ended.
    func cancelledCommands() async throws -> [Figure] {
        try await withServer("commands") { url, _, _ in
            var cancels: [Double] = []
            for _ in 0..<30 {
                let session = try await newSession(url)
                let message: JSONValue = ["message": "Use bash with command=\"sleep 100\"."]
                let run = try await call(url, "/sessions/\(session)/runs", message)["id"]?.string ?? ""
                // Time for the command to begin.
                try await Task.sleep(for: .milliseconds(100))
                cancels.append(try await cancel(run, url))
            }
            return [
                Figure(
                    "from a cancel until a run that waits for a command has ended, p99",
                    Timings(cancels).percentile(0.99), "ms", atMost: 100)
            ]
        }
    }

    /// Cancels a run; answers the milliseconds until it has ended.
    private func cancel(_ run: String, _ url: String) async throws -> Double {
        let clock = ContinuousClock()
        let start = clock.now
        _ = try await call(url, "/runs/\(run)/cancel", [:])
        while try await call(url, "/runs/\(run)")["status"]?.string != "cancelled" {}
        return (clock.now - start).milliseconds
    }

    /// Bytes on the wire for a long answer, as a multiple of the answer.
    func wire() async throws -> [Figure] {
        let text = (0..<2100).map { "word\($0)" }.joined(separator: " ").prefix(12_288)
        let path = scriptPath
        let script: JSONValue = ["replies": [["content": .string(String(text))]], "chunkSize": 4]
        guard let file = fopen(path, "w") else {
            throw ConfigurationFailure(key: "bench", problem: "cannot write \(path)")
        }
        fputs(script.text, file)
        fclose(file)
        return try await withServer("wire", ["TAU_MODELS_SCRIPT=\(path)"]) { url, _, _ in
            let session = try await newSession(url)
            let body = try await answer(
                post("\(url)/api/agent/v1/sessions/\(session)/runs", ["message": "Go."], accept: "text/event-stream"))
            let ratio = Double(body.readableBytes) / Double(text.utf8.count)
            return [Figure("bytes on the wire for an answer of 12 KB", ratio, "× the answer", atMost: 6)]
        }
    }

    func call(_ url: String, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
        var request = post("\(url)/api/agent/v1\(path)", body ?? [:], accept: "application/json")
        if body == nil {
            request.method = .GET
            request.body = nil
        }
        return try JSONValue(parsing: try await answer(request).readableBytesView)
    }

    /// User and system time of a process.
    private static func processorSeconds(_ process: pid_t) -> Double {
        guard let file = fopen("/proc/\(process)/stat", "r") else { return 0 }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let text = String(decoding: buffer[..<fread(&buffer, 1, buffer.count, file)], as: UTF8.self)
        // Behind the name, which may hold anything, follow the state and then numbers; the 12th and 13th are times.
        let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
}
