import TauCore
import Testing

@testable import TauProviders

struct MessagesAnswerTests {
    private static let start =
        #"{"type":"message_start","message":{"id":"m1","usage":{"input_tokens":7,"output_tokens":1}}}"#
    private static let stop = #"{"type":"message_stop"}"#

    private func start(_ index: Int, _ block: String) -> String {
        #"{"type":"content_block_start","index":\#(index),"content_block":\#(block)}"#
    }
    private func delta(_ index: Int, _ delta: String) -> String {
        #"{"type":"content_block_delta","index":\#(index),"delta":\#(delta)}"#
    }
    private func stop(_ index: Int) -> String { #"{"type":"content_block_stop","index":\#(index)}"# }
    private func end(_ reason: String) -> String {
        #"{"type":"message_delta","delta":{"stop_reason":"\#(reason)"},"#
            + #""usage":{"output_tokens":9,"input_tokens":null}}"#
    }

    @Test func `blocks of each kind are assembled`() {
        let answer = Decoded.messages(
            Self.start, start(0, #"{"type":"thinking","thinking":""}"#),
            delta(0, #"{"type":"thinking_delta","thinking":"hm"}"#),
            delta(0, #"{"type":"signature_delta","signature":"ab"}"#),
            delta(0, #"{"type":"signature_delta","signature":"cd"}"#), stop(0),
            start(1, #"{"type":"redacted_thinking","data":"secret"}"#), stop(1), #"{"type":"ping"}"#,
            start(2, #"{"type":"text","text":"He"}"#), delta(2, #"{"type":"text_delta","text":"llo"}"#), stop(2),
            start(3, #"{"type":"tool_use","id":"t1","name":"f","input":{"a":1}}"#), stop(3),
            start(4, #"{"type":"tool_use","id":"t2","name":"g","input":{}}"#),
            delta(4, #"{"type":"input_json_delta","partial_json":""}"#),
            delta(4, #"{"type":"input_json_delta","partial_json":"{\"b\":2}"}"#), stop(4), end("tool_use"), Self.stop)
        #expect(
            answer.content == [
                thinking("hm", "abcd"), thinking("", "secret", isRedacted: true), .text("Hello"),
                toolCall("t1", "f", ["a": 1]), toolCall("t2", "g", ["b": 2]),
            ])
        #expect(answer.reply == ModelReply(stopReason: .toolUse, responseID: "m1"))
        #expect(answer.usage == Usage(input: 7, output: 9, cost: nil))
    }

    @Test func `events and blocks of unknown kinds are left out`() {
        let answer = Decoded.messages(
            Self.start, #"{"type":"surprise"}"#, start(0, #"{"type":"server_tool_use","id":"s"}"#),
            delta(0, #"{"type":"input_json_delta","partial_json":"{"}"#), stop(0),
            start(1, #"{"type":"text","text":""}"#),
            delta(1, #"{"type":"text_delta","text":"a"}"#), delta(1, #"{"type":"citations_delta"}"#), end("end_turn"),
            Self.stop)
        #expect(answer.content == [.text("a")])
        #expect(answer.events.contains(.textEnd(index: 0)))
        #expect(answer.reply?.stopReason == .stop)
    }

    @Test(arguments: [
        ("end_turn", StopReason.stop), ("pause_turn", .stop), ("stop_sequence", .stop), ("max_tokens", .length),
    ])
    func `stop reasons have their meaning`(_ word: String, _ reason: StopReason) {
        #expect(Decoded.messages(Self.start, end(word), Self.stop).reply?.stopReason == reason)
    }

    @Test(arguments: [
        ("refusal", ProviderError.Code.refused), ("model_context_window_exceeded", .contextTooLong),
        ("tired", .malformed),
    ])
    func `stop reasons that are no answer are errors`(_ word: String, _ code: ProviderError.Code) {
        #expect(Decoded.messages(Self.start, end(word), Self.stop).error?.code == code)
    }

    @Test(arguments: [
        ("overloaded_error", ProviderError.Code.overloaded), ("rate_limit_error", .rateLimited),
        ("authentication_error", .unauthorized), ("invalid_request_error", .badRequest), ("api_error", .overloaded),
    ])
    func `an error event ends the answer`(_ type: String, _ code: ProviderError.Code) {
        let answer = Decoded.messages(
            Self.start, start(0, #"{"type":"text","text":"a"}"#),
            #"{"type":"error","error":{"type":"\#(type)","message":"Sorry"}}"#)
        #expect(answer.error == ProviderError(code, "Sorry"))
        #expect(answer.content == [.text("a")])
        #expect(Decoded.messages(Self.start, end("end_turn")).error?.code == .network)
    }

    @Test func `prices make the cost, and without prices it is unknown`() {
        let prices = Prices(input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75)
        let start =
            #"{"type":"message_start","message":{"usage":{"input_tokens":1000,"cache_creation_input_tokens":200,"#
            + #""cache_read_input_tokens":400,"output_tokens":0}}}"#
        let answer = Decoded.messages(start, end("end_turn"), Self.stop, prices: prices)
        #expect(answer.usage.totalTokens == 1609)
        #expect(answer.usage.cost == prices.cost(of: answer.usage))
        #expect(Decoded.messages(start, end("end_turn"), Self.stop).usage.cost == nil)
    }
}
