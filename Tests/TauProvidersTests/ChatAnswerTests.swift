import TauCore
import Testing

@testable import TauProviders

struct ChatAnswerTests {
    private func delta(_ delta: String, finish: String = "null") -> String {
        #"{"id":"c1","choices":[{"index":0,"delta":\#(delta),"finish_reason":\#(finish)}]}"#
    }

    private func call(_ call: String) -> String { delta(#"{"tool_calls":[\#(call)]}"#) }

    @Test func `blocks are numbered in order of appearance, and end when the next begins`() {
        let answer = Decoded.chat(
            delta(#"{"reasoning":"hm"}"#), delta(#"{"content":"a"}"#), delta(#"{"content":"b"}"#),
            call(#"{"index":0,"id":"x","function":{"name":"f","arguments":"{}"}}"#), delta("{}", finish: #""stop""#),
            "[DONE]")
        #expect(
            answer.events == [
                .thinkingStart(index: 0), .thinkingDelta(index: 0, "hm"),
                .thinkingEnd(index: 0, signature: "reasoning"), .textStart(index: 1), .textDelta(index: 1, "a"),
                .textDelta(index: 1, "b"), .textEnd(index: 1), .toolCallStart(index: 2, id: "x", name: "f"),
                .toolCallDelta(index: 2, "{}"), .toolCallEnd(index: 2),
            ])
        // The server said stop, but there is a call to be answered.
        #expect(answer.reply == ModelReply(stopReason: .toolUse, responseID: "c1"))
    }

    @Test func `interleaved calls are kept apart`() {
        let answer = Decoded.chat(
            call(#"{"index":0,"id":"x","function":{"name":"f","arguments":"{\"a\""}}"#),
            call(#"{"index":1,"id":"y","function":{"name":"g","arguments":"{\"b\""}}"#),
            call(#"{"index":0,"function":{"arguments":":1}"}}"#), call(#"{"index":1,"function":{"arguments":":2}"}}"#),
            delta("{}", finish: #""tool_calls""#))
        #expect(answer.content == [toolCall("x", "f", ["a": 1]), toolCall("y", "g", ["b": 2])])
    }

    @Test func `calls without an index, or all with the same, are told apart by their ids`() {
        for index in ["", #""index":0,"#] {
            let answer = Decoded.chat(
                call(#"{\#(index)"id":"x","function":{"name":"f","arguments":"{\"a\""}}"#),
                call(#"{\#(index)"function":{"arguments":":1}"}}"#),
                call(#"{\#(index)"id":"y","function":{"name":"g","arguments":{"b":2}}}"#), "[DONE]")
            #expect(answer.content == [toolCall("x", "f", ["a": 1]), toolCall("y", "g", ["b": 2])])
        }
    }

    @Test func `a call without an id gets one, and a late name is waited for`() throws {
        let answer = Decoded.chat(
            call(#"{"index":0,"function":{"arguments":"{"}}"#),
            call(#"{"index":0,"function":{"name":"f","arguments":"}"}}"#), "[DONE]")
        let message = try #require(answer.events.first)
        guard case .toolCallStart(_, let id, "f") = message else { throw answer.error ?? ProviderError(.malformed, "") }
        #expect(ToolCallIDRule.chatCompletions.normalized(id) == id)
        #expect(answer.content == [toolCall(id, "f")])
    }

    @Test func `usage is counted without what was cached, and costs what the price list says`() {
        let usage = #""prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":40}"#
        let prices = Prices(input: 10, output: 20, cacheRead: 1)
        let answer = Decoded.chat(
            delta(#"{"content":"a"}"#, finish: #""stop""#), #"{"choices":[],"usage":{\#(usage)}}"#, "[DONE]",
            prices: prices)
        var expected = Usage(input: 60, output: 20, cacheRead: 40)
        expected.cost = prices.cost(of: expected)
        #expect(answer.usage == expected)
        #expect(abs((answer.usage.cost?.total ?? 0) - 0.00104) < 1e-12)
        let inChoice = Decoded.chat(#"{"choices":[{"delta":{},"usage":{\#(usage)}}]}"#, "[DONE]")
        #expect(inChoice.usage == Usage(input: 60, output: 20, cacheRead: 40, cost: nil))
    }

    @Test func `reasoning that is counted beside the completion is added`() {
        let details = #""completion_tokens_details":{"reasoning_tokens":5}"#
        for (total, output) in [(17, 7), (12, 2)] {
            let usage = #"{"prompt_tokens":10,"completion_tokens":2,"total_tokens":\#(total),\#(details)}"#
            #expect(Decoded.chat(#"{"choices":[],"usage":\#(usage)}"#, "[DONE]").usage.output == output)
        }
    }

    @Test func `absurd counts of tokens do no harm`() {
        let usage = #"{"prompt_tokens":9e300,"completion_tokens":-5,"prompt_tokens_details":{"cached_tokens":9e18}}"#
        let answer = Decoded.chat(#"{"choices":[],"usage":\#(usage)}"#, "[DONE]")
        #expect(answer.usage.output == 0)
        #expect(answer.usage.cacheRead == 1_000_000_000_000)
    }

    @Test(arguments: [
        (#"{"error":{"message":"no","type":"server_error","code":500}}"#, ProviderError.Code.overloaded),
        (#"{"error":{"message":"slow down","code":429}}"#, .rateLimited),
        (#"{"error":"prompt is too long"}"#, .contextTooLong), ("{", .malformed), ("[]", .malformed),
        (#"{"choices":[{"delta":{},"finish_reason":"content_filter"}]}"#, .refused),
        (#"{"choices":[{"delta":{},"finish_reason":"gone mad"}]}"#, .malformed),
    ])
    func `a stream that goes wrong is an error`(_ data: String, _ code: ProviderError.Code) {
        let answer = Decoded.chat(delta(#"{"content":"a"}"#), data, "[DONE]")
        #expect(answer.error?.code == code)
        #expect(answer.content == [.text("a")])
    }

    @Test func `a stream may end with its finish reason alone`() {
        #expect(Decoded.chat(delta(#"{"content":"a"}"#, finish: #""stop""#)).reply?.stopReason == .stop)
        #expect(Decoded.chat(delta(#"{"content":"a"}"#)).error?.code == .network)
        #expect(Decoded.chat().error?.code == .network)
    }

    @Test func `what other servers say in their own way is understood`() {
        let deepSeek = Decoded.chat(
            #"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":1,"prompt_cache_hit_tokens":4}}"#
        )
        #expect(deepSeek.usage == Usage(input: 6, output: 1, cacheRead: 4, cost: nil))
        let openRouter = Decoded.chat(
            #"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}],"reasoning_details":[{"type":"reasoning.encrypted","id":"c","data":"s"}]}}]}"#,
            #"{"choices":[{"delta":{},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":10,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":5}}}"#
        )
        #expect(openRouter.usage == Usage(input: 1, output: 1, cacheRead: 4, cacheWrite: 5, cost: nil))
        var call = ToolCall(id: "c", name: "f", arguments: JSONObject())
        call.thoughtSignature = #"{"type":"reasoning.encrypted","id":"c","data":"s"}"#
        #expect(openRouter.content == [.toolCall(call)])
        let groq = Decoded.chat(
            #"{"choices":[{"delta":{"reasoning":"hm"}}]}"#,
            #"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"x_groq":{"usage":{"prompt_tokens":3,"completion_tokens":2}}}"#
        )
        #expect(groq.usage == Usage(input: 3, output: 2, cost: nil))
        #expect(groq.content == [thinking("hm", "reasoning"), .text("a")])
        let mistral = Decoded.chat(
            #"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"a"}]}}]}"#,
            #"{"choices":[{"delta":{},"finish_reason":"model_length"}]}"#)
        #expect(mistral.content == [thinking("hm", "thinking"), .text("a")])
        #expect(mistral.reply?.stopReason == .length)
        let out = Decoded.chat(
            #"{"choices":[{"delta":{"content":"a"},"finish_reason":"insufficient_system_resource"}]}"#)
        #expect(out.error?.code == .overloaded)
    }
}
