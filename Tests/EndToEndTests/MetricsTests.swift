import Foundation
import NIOHTTP1
import TauCore
import TauTestKit
import Testing

/// What a server measures, as Prometheus and its own tools read it.
@Suite(.ownThreads, .timeLimit(.minutes(3))) struct MetricsTests {
    /// The page as it is for whoever has the key.
    private static func page(
        _ server: TauProcess, key: String? = nil, accept: String? = nil
    ) async throws -> APIClient.Answer {
        try await APIClient(server, key: key ?? server.key).send(
            "GET", "/metrics", headers: accept.map { ["Accept": $0] } ?? [:])
    }

    /// The value of each series, by its name with its labels.
    private static func series(_ page: APIClient.Answer) -> [String: Double] {
        let lines = String(decoding: page.body, as: UTF8.self).split(separator: "\n").filter { $0.first != "#" }
        return Dictionary(
            lines.compactMap { line in
                guard let blank = line.lastIndex(of: " "), let value = Double(line[line.index(after: blank)...]) else {
                    return nil
                }
                return (String(line[..<blank]), value)
            }
        ) { _, last in last }
    }

    private static func promtool(_ arguments: [String], _ input: [UInt8] = []) throws -> (code: Int32, output: String) {
        try TestTools.run("/usr/bin/promtool", arguments, input: input, in: NSTemporaryDirectory())
    }

    @Test func `what a run does is counted, under names that Prometheus has no complaint about`() async throws {
        let server = try TauProcess(environment: ["TAU_LIMITS_FAILURES": "5", "TAU_BUDGET_TOKENS": "1000000"])
        let client = APIClient(server)
        let session = try await client.newSession()
        let events = try await client.run(#"Use bash with command="echo hi"."#, in: session)
        #expect(events.finalStatus == "completed")
        #expect(try await client.run(#"Use nothing with a="b"."#, in: session).finalStatus == "completed")
        #expect(try await client.run(#"Use bash with command="exit 3"."#, in: session).finalStatus == "completed")
        let stranger = APIClient(server, key: "wrong")
        for _ in 0..<8 { _ = try await stranger.send("GET", "/sessions") }
        let page = try await Self.page(server)
        #expect(page.status == 200)
        #expect(page.headers.first(name: "Content-Type") == "text/plain; version=0.0.4; charset=utf-8")
        let check = try Self.promtool(["check", "metrics"], page.body)
        #expect(check.code == 0 && check.output.isEmpty, "\(check.output)")
        let series = Self.series(page)
        #expect(series[#"tool_calls_total{tool_name="bash",status="success"}"#] == 1)
        #expect(series[#"tool_calls_total{tool_name="bash",status="failed"}"#] == 1)
        #expect(series[#"tool_execution_duration_seconds_count{tool_name="bash"}"#] == 2)
        for bound in ["0.01", "0.05", "0.1", "0.5", "1.0", "5.0", "+Inf"] {
            let name = #"tool_execution_duration_seconds_bucket{tool_name="bash",le="\#(bound)"}"#
            #expect(series[name] != nil, "\(name)")
        }
        #expect(series[#"tau_runs_total{status="completed"}"#] == 3)
        #expect(series["tau_runs_active"] == 0 && series["tau_sessions_open"] == 1)
        let calls = try #require(series[#"tau_model_calls_total{model="scripted/scripted",status="success"}"#])
        #expect(calls >= 5 && series["tau_turn_duration_seconds_count"] == calls)
        #expect(series[#"tau_model_first_token_seconds_count{model="scripted/scripted"}"#] == calls)
        #expect(series[#"tau_budget_holds_total{outcome="granted"}"#] == calls)
        #expect(series[#"tau_limiter_refusals_total{class="unauthenticated"}"#] == 3)
        let usage = try await client.get("/usage")["total"]?["output"]?.integer
        #expect(series[#"tau_model_tokens_total{model="scripted/scripted",kind="output"}"#].map { Int($0) } == usage)
        #expect(
            series[#"tau_http_requests_total{method="POST",route="/api/agent/v1/sessions/{id}/runs",status="200"}"#]
                == 3)
        #expect((series[#"tau_store_appends_total{status="success"}"#] ?? 0) > 8)
        #expect(
            (series["tau_store_batch_appends_sum"] ?? 0) > 8 && series["tau_store_flush_duration_seconds_count"] != nil)
        #expect((series["tau_sandbox_spawns_total"] ?? 0) >= 2)
        #expect(series.keys.contains { $0.hasPrefix("tau_build_info{version=") })
        #expect((series["process_resident_memory_bytes"] ?? 0) > 1e6 && (series["process_open_fds"] ?? 0) > 5)
        #expect(abs((series["process_start_time_seconds"] ?? 0) - Date().timeIntervalSince1970) < 300)
        server.stop()
    }

    @Test func `no label value comes from outside`() async throws {
        let server = try TauProcess()
        let client = APIClient(server)
        _ = try await client.send("GET", "/nothing/0")
        let before = Self.series(try await Self.page(server)).count
        for number in 0..<300 {
            _ = try await client.send("GET", "/nothing/\(number)")
            _ = try await client.send("GET", "/sessions/unknown-\(number)")
        }
        _ = try await client.send("BREW", "/sessions")
        let after = Self.series(try await Self.page(server))
        // One route more, and two methods of none.
        #expect(after.count - before < 60, "\(before) series have become \(after.count)")
        #expect(!after.keys.contains { $0.contains("unknown-") || $0.contains("nothing/") || $0.contains("BREW") })
        server.stop()
    }

    @Test func `it is for the operator, and for a key that is for nothing else`() async throws {
        let scraper = "scraper-key-of-sixteen-bytes"
        let server = try TauProcess(environment: ["TAU_METRICS_KEY": scraper])
        let root = APIClient(server)
        _ = try await root.send("POST", "/admin/users", ["id": "alice", "tenantId": "acme", "role": "admin"])
        let answer = try await root.send("POST", "/admin/keys", ["userId": "alice", "tenantId": "acme"])
        let alice = try #require(answer.json["key"]?.string)
        #expect(try await Self.page(server, key: scraper).status == 200)
        #expect(try await Self.page(server, key: alice).status == 403)
        #expect(try await Self.page(server, key: "wrong").status == 401)
        #expect(try await APIClient(server, key: scraper).send("GET", "/sessions").status == 403)
        server.stop()
        let open = try TauProcess(environment: ["TAU_METRICS_PUBLIC": "true"])
        #expect(try await APIClient(url: open.url, key: nil).send("GET", "/metrics").status == 200)
        open.stop()
        let none = try TauProcess(environment: ["TAU_METRICS_ENABLED": "false"])
        #expect(try await Self.page(none).status == 404)
        none.stop()
    }

    @Test func `Prometheus scrapes it, in the newer format, too`() async throws {
        let scraper = "scraper-key-of-sixteen-bytes"
        let server = try TauProcess(environment: ["TAU_METRICS_KEY": scraper])
        let open = try await Self.page(server, accept: "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
        #expect(open.headers.first(name: "Content-Type")?.hasPrefix("application/openmetrics-text") == true)
        #expect(String(decoding: open.body, as: UTF8.self).hasSuffix("# EOF\n"))
        #expect(try await APIClient(server).run("Hello", in: try await APIClient(server).newSession()).count > 0)
        let directory = try TemporaryDirectory()
        let port = try LoopbackPort.reserve()
        let target = try #require(server.url.split(separator: "/").last)
        let configuration = """
            global: {scrape_interval: 200ms}
            scrape_configs:
              - job_name: tau
                authorization: {credentials: \(scraper)}
                static_configs: [{targets: ["\(target)"]}]
            """
        try Data(configuration.utf8).write(to: URL(fileURLWithPath: directory.path + "/prometheus.yml"))
        let prometheus = try ServerTool(
            "/usr/bin/prometheus",
            [
                "--config.file=\(directory.path)/prometheus.yml", "--storage.tsdb.path=\(directory.path)/data",
                "--web.listen-address=127.0.0.1:\(port)",
            ], in: directory.path)
        defer { prometheus.stop() }
        let query = "http://127.0.0.1:\(port)/api/v1/query?query=tau_runs_total%7Bstatus%3D%22completed%22%7D"
        var value: String?
        while value == nil {
            // Not yet listening, or not yet scraped.
            guard let bytes = try? await APIClient.fetch(query) else { continue }
            value = (try? JSONValue(parsing: bytes))?["data"]?["result"]?.array?.first?["value"]?.array?.last?.string
        }
        #expect(value == "1")
        server.stop()
    }
}
