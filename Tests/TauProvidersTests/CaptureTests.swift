import TauCore
import TauTestKit
import Testing

@testable import TauProviders

@Suite struct CaptureTests {
    private func chat(_ name: String, chunkSize: Int = .max) throws -> Decoded {
        Decoded(try Capture(name).body, ChatAnswer(prices: nil), chunkSize: chunkSize)
    }

    private func messages(_ name: String, chunkSize: Int = .max) throws -> Decoded {
        Decoded(try Capture(name).body, MessagesAnswer(prices: nil), chunkSize: chunkSize)
    }

    private static let weather: JSONValue = ["city": "Paris", "unit": "c"]

    @Test func `a chat answer of text is assembled`() throws {
        let text = try chat("chat-text-stream")
        #expect(text.content == [.text("The capital of France is Paris.")])
        #expect(text.reply?.stopReason == .stop)
        #expect(text.reply?.responseID?.hasPrefix("chatcmpl-") == true)
        #expect(text.usage == Usage(input: 5, output: 12, cacheRead: 191, cost: nil))
        #expect(try chat("chat-text-stream-nousage").content == [.text("The sky is green.")])
        #expect(try chat("chat-length-stream").reply?.stopReason == .length)
        let unicode = "日本語 😀👩\u{200D}👩\u{200D}👧 naïve – “q”\n\ttab \\ end"
        #expect(try chat("chat-unicode-stream").content == [.text(unicode)])
        #expect(try chat("chat-ping-stream").reply?.stopReason == .length)
        #expect(try chat("chat-progress-stream").reply?.stopReason == .length)
    }

    @Test func `only the first of several choices counts`() throws {
        #expect(try chat("chat-n2-stream").content == [.text("The sky is green")])
    }

    @Test func `reasoning of a chat answer becomes thinking`() throws {
        let answer = try chat("chat-reasoning-stream")
        #expect(
            answer.content == [
                thinking("I know the answer.", "reasoning_content"), .text("The capital of France is Paris."),
            ])
    }

    @Test func `tool calls of a chat answer are assembled`() throws {
        let answer = try chat("chat-tool-stream")
        let id = "ZSmwKa0ot28bsQNtggrunZjk2NjyyeaL"
        #expect(answer.content == [.text("\n"), toolCall(id, "get_weather", Self.weather)])
        #expect(answer.reply?.stopReason == .toolUse)
        let automatic = try chat("chat-tool-auto-stream")
        #expect(
            automatic.content == [
                thinking("I need a tool.", "reasoning_content"), .text("\n"),
                toolCall("dI6RyrfXYWyCddFu1JDhgsOxvyrOt2Fc", "bash", ["command": "ls -la /tmp"]),
            ])
        #expect(try chat("chat-tool-result-stream").content == [.text("The tool said: 18 degrees")])
    }

    @Test func `a tool call that the length cut off has no arguments`() throws {
        let answer = try chat("chat-tool-cut-by-length-stream")
        #expect(answer.content.last == toolCall("HqIR3UXeTKMUPBO7TIHE6Ib01LWz2zOc", "get_weather"))
        #expect(answer.reply?.stopReason == .length)
    }

    @Test(arguments: ["chat-server-sigkill-stream", "chat-server-sigterm-stream", "chat-disconnect-stream"])
    func `a chat answer that broke off is an error, and what came is kept`(_ name: String) throws {
        let answer = try chat(name)
        #expect(answer.error?.code == .network)
        let text = try #require(answer.content.first?.text)
        #expect(text.hasPrefix("word word") || text.hasPrefix("a a"))
    }

    @Test func `a messages answer of text is assembled`() throws {
        let text = try messages("messages-text-stream")
        #expect(text.content == [.text("The capital of France is Paris.")])
        #expect(text.reply?.stopReason == .stop)
        #expect(text.usage == Usage(input: 5, output: 12, cacheRead: 191, cost: nil))
        #expect(try messages("messages-system-stream").content == [.text("The sky is green.")])
        #expect(try messages("messages-length-stream").reply?.stopReason == .length)
        #expect(try messages("messages-stop-sequence-stream").reply?.stopReason == .stop)
        #expect(try messages("messages-ping-stream").reply?.stopReason == .length)
        #expect(try messages("messages-tool-result-stream").content == [.text("The tool said: 18 degrees")])
    }

    @Test func `overlapping blocks of a messages answer are kept apart`() throws {
        let answer = try messages("messages-thinking-stream")
        #expect(answer.content == [thinking("I know the answer."), .text("The capital of France is Paris.")])
        let named = try messages("messages-tool-named-stream")
        #expect(
            named.content == [
                thinking("I need a tool."), .text("\n"),
                toolCall("LxKVhG2NndhY54eQGxwq88T5m8Sy34qi", "get_weather", Self.weather),
            ])
        #expect(named.reply?.stopReason == .toolUse)
        let tool = try messages("messages-tool-stream")
        let id = "TAz5vvnmviPAva8oJ94NnXbhNzinw2hq"
        #expect(tool.content == [.text("\n"), toolCall(id, "get_weather", Self.weather)])
    }

    @Test(arguments: ["messages-server-sigkill-stream", "messages-server-sigterm-stream"])
    func `a messages answer that broke off is an error, and what came is kept`(_ name: String) throws {
        let answer = try messages(name)
        #expect(answer.error?.code == .network)
        #expect(answer.content.first?.text?.hasPrefix("<") == true)
        #expect(answer.usage.input > 0)
    }

    @Test func `the events of an answer do not depend on the chunks`() throws {
        let streams = Capture.names.filter { $0.hasSuffix("-stream") && !$0.hasPrefix("responses-") }
        try #require(streams.count > 20)
        var generator = SeededGenerator(seed: 4)
        for name in streams {
            let capture = try Capture(name)
            guard capture.status == 200 else { continue }
            func read(_ size: Int) -> Decoded {
                name.hasPrefix("chat-")
                    ? Decoded(capture.body, ChatAnswer(prices: nil), chunkSize: size)
                    : Decoded(capture.body, MessagesAnswer(prices: nil), chunkSize: size)
            }
            let whole = read(.max)
            #expect(whole.error == nil || !whole.content.isEmpty, "\(name)")
            #expect(read(1) == whole, "\(name)")
            for _ in 0..<10 { #expect(read(Int.random(in: 2...400, using: &generator)) == whole, "\(name)") }
        }
    }

    @Test(arguments: [
        ("chat-err-overflow-stream", ProviderError.Code.contextTooLong), ("chat-err-badjson", .badRequest),
        ("chat-err-nomessages", .badRequest), ("chat-err-schema", .overloaded), ("err-401-messages", .unauthorized),
        ("err-404", .badRequest), ("err-503-loading", .overloaded), ("messages-err-overflow-stream", .contextTooLong),
    ])
    func `a captured error has its code and its words`(_ name: String, _ code: ProviderError.Code) throws {
        let capture = try Capture(name)
        let error = ErrorAnswer.error(status: capture.status, reason: "", retryAfter: nil, body: capture.body)
        #expect(error.code == code)
        let words = try #require(try JSONValue(parsing: capture.body)["error"]?["message"]?.string)
        #expect(error.message == "HTTP \(capture.status): \(words.bounded(to: 1000))")
    }

    @Test func `the short hash is Pi's`() throws {
        let vectors = try SharedData.json("pi/golden/shorthash.json")
        for vector in try #require(vectors.array) {
            #expect(ShortHash.of(vector["in"]?.string ?? "") == vector["out"]?.string)
        }
    }
}
