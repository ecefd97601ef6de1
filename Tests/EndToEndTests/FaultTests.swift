import Foundation
import TauCore
import TauTestKit
import Testing

/// A real server, and a network and a model server that misbehave.
@Suite(.ownThreads, .timeLimit(.minutes(2))) struct FaultTests {
    /// What became of one run.
    struct Outcome {
        var events: [APIClient.Event]
        /// The stored answers, the failed ones, too.
        var answers: [JSONValue]
        var connections: Int

        var retries: [JSONValue] { events.filter { $0.type == "retry" }.map(\.data) }
        var failure: String { events.last?.data["run"]?["error"]?["message"]?.string ?? "" }
        var code: String? { events.last?.data["run"]?["error"]?["code"]?.string }

        static func text(_ answer: JSONValue?) -> String {
            (answer?["content"]?.array ?? []).compactMap { $0["text"]?.string }.joined()
        }
    }

    static let answer = "日本語 😀👩\u{200D}👩\u{200D}👧 naïve – “q”\n\ttab \\ end"

    /// Runs one message against a server whose model is a capture behind these faults.
    func run(_ faults: [FaultProxy.Fault], refuses: Bool = false, _ environment: [String: String] = [:]) async throws
        -> Outcome
    {
        let proxy = try FaultProxy(.stream(try Capture("chat-unicode-stream").body), faults: faults)
        defer { proxy.stop() }
        if refuses { proxy.stop() }
        let variables = [
            "OPENAI_BASE_URL": proxy.url, "TAU_MODELS_DEFAULT": "openai/some-model", "TAU_MODELS_IDLE_SECONDS": "1",
            "TAU_MODELS_RETRY_BASE_MILLISECONDS": "10", "TAU_MODELS_MAX_ANSWER_BYTES": "1000000",
        ].merging(environment) { _, new in new }
        let server = try TauProcess(environment: variables)
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        let events = try await client.run("Say it.", in: session)
        let entries = try await client.get("/sessions/\(session)/entries?limit=200")["data"]?.array ?? []
        // Whatever happened, the session is one that can be gone on with.
        let context = try await client.get("/sessions/\(session)/context")["messages"]?.array ?? []
        if events.finalStatus == "completed" {
            #expect(context.map { $0["role"] } == ["user", "assistant"])
            #expect(Outcome.text(context.last) == Self.answer)
        }
        let answers = entries.compactMap { $0["message"] }.filter { $0["role"] == "assistant" }
        return Outcome(events: events, answers: answers, connections: proxy.connectionCount)
    }

    @Test func `a connection that is refused is tried again, and then the run has failed`() async throws {
        let outcome = try await run([], refuses: true)
        #expect(outcome.events.finalStatus == "failed")
        #expect(outcome.code == "model_unavailable")
        #expect(outcome.retries.map { $0["attempt"]?.integer } == [1, 2, 3])
    }

    @Test func `a connection that is reset is tried again`() async throws {
        let outcome = try await run([.reset, .reset])
        #expect(outcome.events.finalStatus == "completed")
        #expect(outcome.retries.count == 2)
        #expect(outcome.connections == 3)
    }

    @Test func `a server that falls silent is given up, and what it said is kept`() async throws {
        let body = try Capture("chat-unicode-stream").body
        let outcome = try await run([.stall(afterBytes: body.count * 2 / 3)])
        #expect(outcome.events.finalStatus == "completed")
        #expect(outcome.retries.count == 1)
        #expect(outcome.retries.first?["reason"]?.string?.contains("fell silent") == true)
        let kept = Outcome.text(outcome.answers.first)
        #expect(!kept.isEmpty && Self.answer.hasPrefix(kept))
    }

    @Test func `a stream that is cut within a character is an error, and what was whole is kept`() async throws {
        let body = try Capture("chat-unicode-stream").body
        // Behind the first byte of the first character of more than one.
        let cut = try #require(body.firstIndex { $0 >= 0xE0 }) + 1
        let outcome = try await run([.cut(afterBytes: cut), .cut(afterBytes: body.count / 2)])
        #expect(outcome.events.finalStatus == "completed")
        #expect(outcome.retries.count == 2)
        #expect(outcome.answers.map { $0["stopReason"] } == ["error", "error", "stop"])
        #expect(outcome.answers.allSatisfy { Self.answer.hasPrefix(Outcome.text($0)) })
    }

    @Test(arguments: [
        "429 Too Many Requests", "500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable",
        "529 Site Overloaded",
    ])
    func `an overloaded server is asked again`(_ status: String) async throws {
        let outcome = try await run([.answer(status: status, body: #"{"error":{"message":"later"}}"#)])
        #expect(outcome.events.finalStatus == "completed")
        #expect(outcome.retries.count == 1)
        #expect(outcome.retries.first?["reason"]?.string?.contains("later") == true)
    }

    @Test func `a server's own time is waited for`() async throws {
        let outcome = try await run([
            .answer(
                status: "429 Too Many Requests", headers: ["retry-after: 1"], body: #"{"error":{"message":"later"}}"#)
        ])
        #expect(outcome.events.finalStatus == "completed")
        #expect(outcome.retries.first?["delayMs"]?.integer ?? 0 >= 1000)
        let patient = try await run([
            .answer(status: "429 Too Many Requests", headers: ["retry-after: 3600"], body: "{}")
        ])
        #expect(patient.events.finalStatus == "failed")
        #expect(patient.retries.isEmpty)
    }

    @Test(arguments: [
        ("400 Bad Request", "model_rejected_request"), ("401 Unauthorized", "model_unavailable"),
        ("402 Payment Required", "model_unavailable"),
    ])
    func `what will not get better is not tried again`(_ status: String, _ code: String) async throws {
        let outcome = try await run([.answer(status: status, body: #"{"error":{"message":"never"}}"#)])
        #expect(outcome.events.finalStatus == "failed")
        #expect(outcome.code == code)
        #expect(outcome.retries.isEmpty)
        #expect(outcome.connections == 1)
    }

    @Test func `a page in place of a stream is an error without its text`() async throws {
        let page = "<html><body>Sign in with sk-secret</body></html>"
        let outcome = try await run([
            .answer(status: "200 OK", headers: ["content-type: text/html"], body: page)
        ])
        #expect(outcome.events.finalStatus == "completed")
        #expect(outcome.retries.first?["reason"]?.string?.contains("text/html") == true)
        #expect(!outcome.events.contains { $0.data.text.contains("Sign in") })
    }

    @Test func `a stream without end is cut off at the bound`() async throws {
        let piece = #"data: {"choices":[{"index":0,"delta":{"content":"more "}}]}"# + "\n\n"
        let outcome = try await run([.endless(piece: piece)])
        #expect(outcome.events.finalStatus == "completed")
        #expect(outcome.retries.first?["reason"]?.string?.contains("longer than 1000000 bytes") == true)
        #expect(Outcome.text(outcome.answers.first).hasPrefix("more more "))
    }

    @Test func `another provider takes over when the first one is out`() async throws {
        let other = try FaultProxy(.stream(try Capture("messages-text-stream").body))
        defer { other.stop() }
        let directory = try TemporaryDirectory()
        let first = try FaultProxy(.stream([]), faults: [.reset])
        defer { first.stop() }
        let yaml = """
            models:
              simple: first/a
              fallback:
                simple: [second/b]
              providers:
                first: {api: openai, baseUrl: "\(first.url)"}
                second: {api: anthropic, baseUrl: "\(other.url)", models: {b: {contextWindow: 4096, prices: {input: 1, output: 2}}}}
            """
        try Data(yaml.utf8).write(to: URL(fileURLWithPath: directory.path + "/tau.yaml"))
        let server = try TauProcess(in: directory)
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        let events = try await client.run("Go.", in: session)
        #expect(events.finalStatus == "completed", "\(events.last?.data.text ?? "")")
        let fallback = try #require(events.first { $0.type == "model_fallback" }?.data)
        #expect(fallback["from"] == ["provider": "first", "id": "a"])
        #expect(fallback["to"] == ["provider": "second", "id": "b"])
        let run = try #require(events.last?.data["run"])
        #expect(run["model"] == ["provider": "second", "id": "b"])
        #expect(run["choice"]?["tier"] == "simple")
        #expect(run["choice"]?["reason"] == "shorter than 100 characters")
        // 5 tokens in, 12 out, 191 of the cache, whose price is 0.
        #expect(run["usage"]?["cost"]?["total"]?.double == 0.000029)
        let models = try await client.get("/models?limit=200")["data"]?.array ?? []
        let own = models.first { $0["provider"] == "second" }
        #expect(own?["id"] == "b")
        #expect(own?["contextWindow"] == 4096)
    }
}
