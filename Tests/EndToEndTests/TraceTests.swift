import Foundation
import TauCore
import TauTestKit
import Testing

/// What a server tells of its work to receivers of OpenTelemetry that others wrote, and to its own log.
@Suite(
    .ownThreads, .timeLimit(.minutes(3)),
    .enabled(if: TestTools.directory != nil, "rotel is not installed: run the tests with `make test`"))
struct TraceTests {
    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let parent = "00f067aa0ba902b7"

    /// rotel, which prints whatever it gets.
    private static func rotel(_ port: Int, in directory: TemporaryDirectory) throws -> ServerTool {
        let tools = try #require(TestTools.directory)
        let tool = try ServerTool(
            tools + "/venv/bin/python",
            [
                "-c",
                """
                import os, pathlib, rotel, sys
                agent = str(pathlib.Path(rotel.__file__).parent / "rotel-agent")
                os.execv(agent, [agent] + sys.argv[1:])
                """, "start", "--otlp-http-endpoint", "127.0.0.1:\(port)", "--otlp-grpc-endpoint",
                "127.0.0.1:\(try LoopbackPort.reserve())", "--exporter", "blackhole", "--debug-log", "traces",
                "--debug-log-verbosity", "detailed",
            ], in: directory.path)
        while !tool.output.contains("Starting Rotel") {}
        return tool
    }

    private static func runs(_ server: TauProcess) async throws -> String {
        let client = APIClient(server)
        let session = try await client.newSession()
        let answer = try await client.send(
            "POST", "/sessions/\(session)/runs", ["message": #"Use bash with command="echo hi"."#],
            headers: [
                "Accept": "text/event-stream", "traceparent": "00-\(trace)-\(parent)-01", "X-Request-Id": "request-1",
            ])
        #expect(answer.status == 200)
        return session
    }

    @Test(arguments: ["http/protobuf", "http/json"], ["gzip", "none"])
    func `rotel hears of the request, the run, its turns, calls and appends`(
        _ encoding: String, _ compression: String
    ) async throws {
        let directory = try TemporaryDirectory()
        let port = try LoopbackPort.reserve()
        let rotel = try Self.rotel(port, in: directory)
        defer { rotel.stop() }
        let server = try TauProcess(environment: [
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:\(port)/", "OTEL_EXPORTER_OTLP_PROTOCOL": encoding,
            "OTEL_EXPORTER_OTLP_COMPRESSION": compression, "OTEL_SERVICE_NAME": "tau-test",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=te%20st", "OTEL_BSP_SCHEDULE_DELAY": "60000",
        ])
        let session = try await Self.runs(server)
        // At the end all of it is sent.
        server.stop()
        while !rotel.output.contains("invoke_agent tau") {}
        let output = rotel.output
        #expect(output.contains("service.name: Str(tau-test)") && output.contains("environment: Str(te st)"))
        let spans = Self.spans(output).filter { $0.trace == Self.trace }
        let ids = Dictionary(spans.map { ($0.id, $0) }) { first, _ in first }
        func path(_ span: Span) -> String { (ids[span.parent].map { path($0) + " > " } ?? "") + span.name }
        let paths = Set(spans.map(path))
        let request = "POST /api/agent/v1/sessions/{id}/runs"
        let run = request + " > invoke_agent tau > turn"
        #expect(
            paths == [
                request, request + " > store.append", request + " > invoke_agent tau", run, run + " > chat scripted",
                run + " > tool.bash", run + " > store.append",
            ])
        #expect(spans.first { $0.name == request }?.parent == Self.parent)
        let chat = try #require(spans.first { $0.name == "chat scripted" })
        #expect(chat.kind == "SPAN_KIND_CLIENT" && chat.end >= chat.start && chat.start > 1_700_000_000_000_000_000)
        for line in [
            "gen_ai.operation.name: Str(chat)", "gen_ai.provider.name: Str(scripted)",
            "gen_ai.request.model: Str(scripted)", "gen_ai.conversation.id: Str(\(session))",
        ] { #expect(chat.attributes.contains(line), "\(line)") }
        #expect(chat.attributes.contains { $0.hasPrefix("gen_ai.usage.input_tokens: Int(") })
        let tool = try #require(spans.first { $0.name == "tool.bash" })
        for line in [
            "tool.name: Str(bash)", #"tool.params: Str({"command":"echo hi"})"#, "tool.result.length: Int(2)",
            "tool.status: Str(success)", "gen_ai.operation.name: Str(execute_tool)",
        ] { #expect(tool.attributes.contains(line), "\(line)") }
        // What was said is not told.
        #expect(!output.contains("Use bash"))
    }

    @Test func `what was said is told to who asks for it, without secrets`() async throws {
        let directory = try TemporaryDirectory()
        let port = try LoopbackPort.reserve()
        let rotel = try Self.rotel(port, in: directory)
        defer { rotel.stop() }
        let server = try TauProcess(environment: [
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:\(port)", "OTEL_BSP_SCHEDULE_DELAY": "60000",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
        ])
        let client = APIClient(server)
        let session = try await client.newSession()
        let secret = "sk-ant-api03-" + String(repeating: "a1B2", count: 8)
        let answer = try await client.send(
            "POST", "/sessions/\(session)/runs",
            ["message": .string(#"Use bash with command="echo hi". My key is "# + secret)],
            headers: ["Accept": "text/event-stream"])
        #expect(answer.status == 200)
        server.stop()
        while !rotel.output.contains("invoke_agent tau") {}
        let chats = Self.spans(rotel.output).filter { $0.name == "chat scripted" }
        func messages(_ span: Span, _ kind: String) throws -> JSONValue {
            let start = "gen_ai.\(kind).messages: Str("
            let line = try #require(span.attributes.first { $0.hasPrefix(start) })
            return try JSONValue(parsing: String(line.dropFirst(start.count).dropLast()))
        }
        let last = try #require(chats.max { $0.start < $1.start })
        let said = try #require(try messages(last, "input").array)
        #expect(said.map { $0["role"]?.string } == ["user", "assistant", "tool"])
        #expect(said.first?["parts"]?.array?.first?["content"]?.string?.hasPrefix("Use bash with") == true)
        #expect(said.dropFirst().first?["parts"]?.array?.last?["name"] == "bash")
        #expect(said.last?["parts"]?.array?.first?["response"] == "hi")
        #expect(try messages(last, "output").array?.first?["finish_reason"] == "stop")
        #expect(!rotel.output.contains(secret))
    }

    @Test func `questions to the database belong to the request that asks them`() async throws {
        let directory = try TemporaryDirectory()
        let port = try LoopbackPort.reserve()
        let rotel = try Self.rotel(port, in: directory)
        defer { rotel.stop() }
        let server = try TauProcess(
            environment: try TestDatabase.variables(for: directory).merging([
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:\(port)", "OTEL_BSP_SCHEDULE_DELAY": "60000",
            ]) { _, new in new })
        let session = try await Self.runs(server)
        let answer = try await APIClient(server).send(
            "GET", "/sessions?limit=1", headers: ["traceparent": "00-\(Self.trace)-\(Self.parent)-01"])
        #expect(answer.status == 200 && !session.isEmpty)
        server.stop()
        while !rotel.output.contains("GET /api/agent/v1/sessions") {}
        let spans = Self.spans(rotel.output).filter { $0.trace == Self.trace }
        let list = try #require(spans.first { $0.name == "GET /api/agent/v1/sessions" })
        let query = try #require(spans.first { $0.name == "postgresql" && $0.parent == list.id })
        #expect(query.kind == "SPAN_KIND_CLIENT" && query.attributes.contains("db.system.name: Str(postgresql)"))
    }

    private struct Span {
        var trace = "", parent = "", id = "", name = "", kind = ""
        var start = 0, end = 0
        var attributes: [String] = []
    }

    /// The spans that rotel has printed.
    private static func spans(_ text: String) -> [Span] {
        var spans: [Span] = []
        for line in text.split(separator: "\n") {
            if line.hasPrefix("Span #") { spans.append(Span()) }
            guard !spans.isEmpty, let colon = line.range(of: ": ")?.upperBound ?? line.lastIndex(of: ":") else {
                continue
            }
            let value = String(line[colon...].drop { $0 == " " || $0 == ":" })
            let last = spans.count - 1
            switch line.prefix(while: { $0 != ":" }).trimmingCharacters(in: .whitespaces) {
            case "Trace ID": spans[last].trace = value
            case "Parent ID": spans[last].parent = value
            case "ID": spans[last].id = value
            case "Name": spans[last].name = value
            case "Kind": spans[last].kind = value
            case "Start time": spans[last].start = Int(value) ?? 0
            case "End time": spans[last].end = Int(value) ?? 0
            default:
                let text = line.trimmingCharacters(in: .whitespaces)
                if text.hasPrefix("-> ") { spans[last].attributes.append(String(text.dropFirst(3))) }
            }
        }
        return spans
    }

    @Test func `oteltap sees a tool's span come`() async throws {
        let directory = try TemporaryDirectory()
        let port = try LoopbackPort.reserve()
        let tools = try #require(TestTools.directory)
        let tap = try ServerTool(
            tools + "/venv/bin/python",
            ["-u", tools + "/venv/bin/oteltap", "--port", "\(port)", "--await-span", "tool\\.bash"], in: directory.path)
        defer { tap.stop() }
        while !tap.output.contains("Awaiting") {}
        let server = try TauProcess(environment: [
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:\(port)/v1/traces", "OTEL_BSP_SCHEDULE_DELAY": "50",
        ])
        _ = try await Self.runs(server)
        while !tap.output.contains(#""tool.bash""#) {}
        server.stop()
    }

    @Test func `a receiver that hangs costs spans and nothing else, and unsampled traces are not sent`() async throws {
        // It takes connections and never says anything.
        let listener = try SilentListener()
        let server = try TauProcess(environment: [
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:\(listener.port)", "OTEL_EXPORTER_OTLP_TIMEOUT": "500",
            "OTEL_BSP_SCHEDULE_DELAY": "20", "OTEL_BSP_MAX_QUEUE_SIZE": "20", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10",
        ])
        for _ in 0..<6 { _ = try await Self.runs(server) }
        let page = try await APIClient(server).send("GET", "/metrics")
        let dropped = String(decoding: page.body, as: UTF8.self).firstMatch(
            of: #/tau_telemetry_dropped_total\{signal="span"\} ([0-9]+)/#)
        #expect((dropped.flatMap { Int($0.output.1) } ?? 0) > 0)
        let start = ContinuousClock.now
        server.stop()
        #expect(ContinuousClock.now - start < .seconds(20))
        #expect(server.waitForEnd() == 0)
        let quiet = try TauProcess(environment: [
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:\(listener.port)",
            "OTEL_TRACES_SAMPLER": "always_off", "OTEL_BSP_SCHEDULE_DELAY": "20",
        ])
        _ = try await Self.runs(quiet)
        quiet.stop()
        #expect(!quiet.log.contains("spans were not sent"))
    }

    @Test func `the log tells of tools and of bad calls, with all that they belong to`() async throws {
        let directory = try TemporaryDirectory()
        let script = #"""
            {"replies": [
                {"content": [{"type": "toolCall", "id": "c1", "name": "bash", "arguments": {"x": "y"}}]},
                {"content": [{"type": "toolCall", "id": "c2", "name": "bash",
                    "arguments": {"command": "echo sk-0123456789abcdef; PASSWORD=hunter2 true"}}]},
                {"content": "Done."}]}
            """#
        try Data(script.utf8).write(to: URL(fileURLWithPath: directory.path + "/script.json"))
        let server = try TauProcess(
            in: directory,
            environment: [
                "TAU_MODELS_SCRIPT": directory.path + "/script.json", "TAU_LOG_DIR": directory.path + "/log",
                // A port at which nobody listens.
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:\(try LoopbackPort.reserve())",
            ])
        let session = try await Self.runs(server)
        server.stop()
        let text = try String(contentsOfFile: directory.path + "/log/combined.log", encoding: .utf8)
        let lines = try text.split(separator: "\n").map { try JSONValue(parsing: String($0)) }
        let failed = try #require(lines.first { $0["message"] == "validation_failed" })
        #expect(failed["fields"]?["tool_name"] == "bash")
        #expect(failed["fields"]?["errors"]?.string?.contains("command") == true)
        let done = try #require(lines.first { $0["message"] == "tool_execution" })
        #expect(done["fields"]?["tool_name"] == "bash" && done["fields"]?["success"] == "true")
        #expect(done["fields"]?["duration_ms"]?.string.flatMap { Int($0) } != nil)
        #expect(done["fields"]?["params"]?.string?.contains("echo ***") == true)
        for line in [failed, done] {
            #expect(line["request_id"] == "request-1" && line["trace_id"] == .string(Self.trace))
            #expect(line["session_id"] == .string(session) && line["user_id"] == "default/admin")
            #expect(line["run_id"]?.string?.isEmpty == false && line["span_id"]?.string?.utf8.count == 16)
        }
        #expect(!text.contains("hunter2") && !text.contains("0123456789abcdef"))
    }
}

/// Takes connections and never answers.
private final class SilentListener: Sendable {
    let port: Int
    private let descriptor: Int32

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.descriptor = descriptor
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        #expect(result)
        port = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit { close(descriptor) }
}
