import HTTPTypes
import Hummingbird
import NIOCore
import Synchronization
import TauCore
import Testing

@testable import TauProviders

/// Calls over real connections to a server that misbehaves in every way that servers do.
@Suite(.timeLimit(.minutes(1)))
struct ModelServerTests {
    private struct Broken: Error {}

    @Test func `a chat call sends what it should and reads the answer`() async throws {
        let seen = Mutex<(path: String, key: String?, body: JSONValue)?>(nil)
        try await withModelServer { request in
            let buffer = try await request.body.collect(upTo: 1 << 20)
            let body = try JSONValue(parsing: Array(buffer.readableBytesView))
            seen.withLock { $0 = (request.uri.path, request.headers[.authorization], body) }
            return .eventStream(chatStart + chatEnd)
        } _: { address in
            let outcome = try await call("openai", at: address, key: "sk-secret")
            #expect(outcome.content == [.text("Hello")])
            #expect(outcome.reply == ModelReply(stopReason: .stop, responseID: "c1"))
        }
        let request = try #require(seen.withLock { $0 })
        #expect(request.path == "/v1/chat/completions")
        #expect(request.key == "Bearer sk-secret")
        #expect(request.body["messages"] == [["role": "user", "content": "Hi"]])
    }

    @Test func `a messages call sends what it should and reads the answer`() async throws {
        let seen = Mutex<[String?]>([])
        try await withModelServer { request in
            let names: [HTTPField.Name] = ["x-api-key", "anthropic-version", "anthropic-beta"].compactMap { .init($0) }
            seen.withLock { $0 = [request.uri.path] + names.map { request.headers[$0] } }
            return .eventStream(
                """
                event: message_start
                data: {"type":"message_start","message":{"id":"m1","usage":{"input_tokens":1,"output_tokens":1}}}

                event: content_block_start
                data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Hello"}}

                event: message_stop
                data: {"type":"message_stop"}


                """)
        } _: { address in
            let outcome = try await call("anthropic", at: address, key: "sk-ant")
            #expect(outcome.content == [.text("Hello")])
            #expect(outcome.reply?.responseID == "m1")
        }
        let beta = "fine-grained-tool-streaming-2025-05-14,interleaved-thinking-2025-05-14"
        #expect(seen.withLock { $0 } == ["/v1/messages", "sk-ant", "2023-06-01", beta])
    }

    @Test(arguments: ["openai", "anthropic"])
    func `too many requests say when to come back`(_ provider: String) async throws {
        try await withModelServer { _ in
            var response = Response.text(.tooManyRequests, #"{"error":{"type":"rate_limit_error","message":"Slow"}}"#)
            response.headers[.retryAfter] = "7"
            return response
        } _: { address in
            let outcome = try await call(provider, at: address)
            #expect(outcome.error == ProviderError(.rateLimited, "HTTP 429: Slow", retryAfter: 7))
        }
    }

    @Test func `a page of HTML is not shown`() async throws {
        try await withModelServer { _ in
            .text(.badGateway, "<html><body>nginx</body></html>", type: "text/html")
        } _: { address in
            let outcome = try await call("openai", at: address)
            #expect(outcome.error == ProviderError(.overloaded, "HTTP 502 Bad Gateway"))
        }
        try await withModelServer { _ in
            .text(.ok, "<html></html>", type: "text/html")
        } _: { address in
            let error = try await call("openai", at: address).error
            #expect(error?.code == .malformed)
        }
    }

    @Test func `an error that comes with status 200 is an error`() async throws {
        try await withModelServer { _ in
            .text(.ok, #"{"error":{"message":"overloaded","code":503}}"#)
        } _: { address in
            let error = try await call("openai", at: address).error
            #expect(error == ProviderError(.overloaded, "overloaded"))
        }
    }

    @Test func `a key that the server repeats is left out of the message`() async throws {
        try await withModelServer { request in
            let key = request.headers[.authorization] ?? ""
            return .text(.unauthorized, #"{"error":{"message":"Wrong key: \#(key)"}}"#)
        } _: { address in
            let error = try await call("openai", at: address, key: "sk-secret").error
            #expect(error == ProviderError(.unauthorized, "HTTP 401: Wrong key: Bearer [key]"))
        }
    }

    @Test func `a redirect is not followed`() async throws {
        try await withModelServer { _ in
            Response(status: .temporaryRedirect, headers: [.location: "http://127.0.0.1:1/"])
        } _: { address in
            let error = try await call("openai", at: address, key: "sk-secret").error
            #expect(error == ProviderError(.malformed, "HTTP 307 Temporary Redirect"))
        }
    }

    @Test func `a refused connection is an error at once`() async throws {
        let error = try await call("openai", at: "http://127.0.0.1:1").error
        #expect(error?.code == .network)
        #expect(error?.message.hasPrefix("The connection to 127.0.0.1 failed") == true)
    }

    @Test func `a connection that is cut in the middle of a character keeps what came before`() async throws {
        try await withModelServer { _ in
            let half = Array(#"data: {"choices":[{"index":0,"delta":{"content":"é"#.utf8).dropLast()
            return .eventStream(bytes: Array(chatStart.utf8) + half) { throw Broken() }
        } _: { address in
            let outcome = try await call("openai", at: address)
            #expect(outcome.error?.code == .network)
            #expect(outcome.content == [.text("Hello")])
        }
    }

    @Test func `a connection that is cut after the finish reason leaves a whole answer`() async throws {
        try await withModelServer { _ in
            let end = chatEnd.replacing("data: [DONE]\n\n", with: "")
            return .eventStream(chatStart + end) { throw Broken() }
        } _: { address in
            let outcome = try await call("openai", at: address)
            #expect(outcome.reply?.stopReason == .stop)
        }
    }

    @Test func `a stream that falls silent times out`() async throws {
        try await withModelServer { _ in
            .eventStream(chatStart) { try await waitForEver() }
        } _: { address in
            var patience = Duration.milliseconds(500)
            var content: [ContentBlock] = []
            // On a busy machine time may be up before the first word has been read.
            while content.isEmpty, patience < .seconds(60) {
                let outcome = try await call("openai", at: address) { [patience] in $0.idleTimeout = patience }
                #expect(outcome.error?.code == .timedOut)
                content = outcome.content
                patience *= 2
            }
            #expect(content == [.text("Hello")])
        }
    }

    @Test func `a server that says nothing at all times out`() async throws {
        try await withModelServer { _ in
            try await waitForEver()
            return Response(status: .ok)
        } _: { address in
            let outcome = try await call("anthropic", at: address) { $0.idleTimeout = .milliseconds(200) }
            #expect(outcome.error?.code == .timedOut)
        }
    }

    @Test func `an answer without end is cut off at its bound`() async throws {
        try await withModelServer { _ in
            Response(
                status: .ok, headers: [.contentType: "text/event-stream"],
                body: ResponseBody { writer in
                    // In large pieces, or filling the socket's buffer would keep the machine busy for seconds.
                    let piece = ByteBuffer(string: String(repeating: chatStart, count: 1000))
                    while true { try await writer.write(piece) }
                })
        } _: { address in
            let outcome = try await call("openai", at: address) { $0.maxAnswerBytes = 100_000 }
            #expect(outcome.error == ProviderError(.malformed, "The answer is longer than 100000 bytes."))
            #expect(outcome.content.first?.text?.hasPrefix("HelloHello") == true)
        }
    }

    @Test func `an event without end is cut off at its bound`() async throws {
        try await withModelServer { _ in
            .eventStream(chatStart + "data: " + String(repeating: "x", count: 100_000))
        } _: { address in
            let outcome = try await call("openai", at: address) { $0.maxEventBytes = 10_000 }
            #expect(outcome.error?.code == .malformed)
            #expect(outcome.content == [.text("Hello")])
        }
    }

    @Test func `a complete answer does not wait for a connection that lingers`() async throws {
        try await withModelServer { _ in
            .eventStream(chatStart + chatEnd) { try await waitForEver() }
        } _: { address in
            let outcome = try await call("openai", at: address)
            #expect(outcome.reply?.stopReason == .stop)
        }
    }

    @Test func `the connection is used again after a complete answer`() async throws {
        let ports = Mutex<[String?]>([])
        try await withModelServer { request in
            ports.withLock { $0.append(request.headers[.clientPort]) }
            return .eventStream(chatStart + chatEnd) {}
        } _: { address in
            var configuration = ProvidersConfiguration()
            configuration.use("openai", baseURL: address)
            let catalog = try ProviderCatalog(configuration, logger: quiet)
            let provider = try #require(catalog.provider(named: "openai"))
            for _ in 0..<3 { _ = try await provider.stream(request(listed("openai/gpt-4o"), [])) { _ in } }
            await catalog.shutdown()
        }
        let seen = ports.withLock { $0 }
        #expect(seen.count == 3)
        #expect(Set(seen).count == 1)
    }

    @Test func `cancelling a call closes the connection`() async throws {
        let (closings, closed) = AsyncStream.makeStream(of: Void.self)
        try await withModelServer { request in
            Response(
                status: .ok, headers: [.contentType: "text/event-stream"],
                body: ResponseBody { writer in
                    // Safe: only the closure below uses it, and it ends before this one does.
                    nonisolated(unsafe) var writer = writer
                    try? await request.body.consumeWithCancellationOnInboundClose { _ in
                        try await writer.write(ByteBuffer(string: chatStart))
                        try await waitForEver()
                    }
                    closed.yield()
                    try await writer.finish(nil)
                })
        } _: { address in
            let (beginnings, begun) = AsyncStream.makeStream(of: Void.self)
            try await withThrowingTaskGroup(of: CallOutcome.self) { group in
                group.addTask {
                    try await call("openai", at: address) { _ in
                    } onEvent: { _ in
                        begun.yield()
                    }
                }
                for await _ in beginnings { break }
                group.cancelAll()
                let outcome = try #require(try await group.next())
                #expect(outcome.error?.code == .cancelled)
                #expect(outcome.content == [.text("Hello")])
            }
            for await _ in closings { break }
        }
    }

    @Test func `cancelling a call that has no answer yet ends it`() async throws {
        let (arrivals, arrived) = AsyncStream.makeStream(of: Void.self)
        try await withModelServer { _ in
            arrived.yield()
            try await waitForEver()
            return Response(status: .ok)
        } _: { address in
            try await withThrowingTaskGroup(of: CallOutcome.self) { group in
                group.addTask { try await call("anthropic", at: address) }
                for await _ in arrivals { break }
                group.cancelAll()
                let outcome = try #require(try await group.next())
                #expect(outcome.error?.code == .cancelled)
            }
        }
    }
}
