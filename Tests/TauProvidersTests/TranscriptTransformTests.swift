import TauCore
import Testing

@testable import TauProviders

struct TranscriptTransformTests {
    private func transform(_ messages: Message...) -> [Message] {
        TranscriptTransform(
            api: "openai-completions", model: ModelReference(provider: "openai", id: "gpt-4o"),
            idRule: .chatCompletions
        ).apply(to: messages)
    }

    private func foreign(_ content: ContentBlock..., stopReason: StopReason = .stop) -> Message {
        .assistant(
            AssistantMessage(
                content: content, api: "anthropic-messages", model: ModelReference(provider: "anthropic", id: "c"),
                stopReason: stopReason, timestamp: noTime))
    }

    @Test func `a model's own thinking is kept, but not when it is empty and unsigned`() {
        let kept = assistant(thinking("a"), thinking("", "sig"), thinking("", "x", isRedacted: true), .text("b"))
        #expect(transform(kept) == [kept])
        #expect(transform(assistant(thinking(" \n"), .text("b"))) == [assistant(.text("b"))])
    }

    @Test func `another model's thinking becomes text, and what is hidden goes`() {
        let message = foreign(
            thinking("a", "sig"), thinking("", "sig"), thinking("", "x", isRedacted: true),
            .text(TextBlock(text: "b", signature: "s")))
        #expect(transform(message) == [foreign(.text("a"), .text("b"))])
    }

    @Test func `another model's calls get ids that fit, and so do their results`() {
        let call = ContentBlock.toolCall(
            ToolCall(id: "call:1|fc_2", name: "read", arguments: JSONObject(), thoughtSignature: "s"))
        let long = String(repeating: "a", count: 60)
        let messages = transform(
            foreign(call, toolCall(long + "1", "f"), toolCall(long + "2", "f"), stopReason: .toolUse),
            result(long + "2", .text("two")), result("call:1|fc_2", .text("first")), result(long + "1", .text("one")))
        let first = String(repeating: "a", count: 40)
        guard case .assistant(let message) = messages[0] else { return }
        let ids = message.toolCalls.map(\.id)
        #expect(ids[0] == "call_1")
        #expect(ids[1] == first)
        #expect(ids[2] != first)
        #expect(ids[2].utf8.count == 40)
        #expect(message.toolCalls[0].thoughtSignature == nil)
        #expect(
            Array(messages[1...]) == [
                result(ids[2], .text("two")), result("call_1", .text("first")), result(first, .text("one")),
            ])
    }

    @Test func `a model's own ids are left alone, unless its dialect would refuse them`() {
        let messages = [assistant(toolCall("a_b-1", "f"), stopReason: .toolUse), result("a_b-1", .text("x"))]
        #expect(transform(messages[0], messages[1]) == messages)
        // Ids have to fit within one request only, so that another one does as well.
        let odd = transform(
            assistant(toolCall("a:b|c", "f"), stopReason: .toolUse), result("a:b|c", .text("x")))
        #expect(odd == [assistant(toolCall("a_b", "f"), stopReason: .toolUse), result("a_b", .text("x"))])
    }

    @Test func `failed answers go, and their results with them`() {
        let messages = transform(
            user(.text("1")), assistant(toolCall("x", "f"), stopReason: .aborted), result("x", .text("late")),
            assistant(.text("half"), stopReason: .error), user(.text("2")))
        #expect(messages == [user(.text("1")), user(.text("2"))])
    }

    @Test func `a call without a result gets one that says so, except at the very end`() {
        let call = assistant(toolCall("x", "f"), toolCall("y", "g"), stopReason: .toolUse)
        let missing = result("y", .text("No result provided"), isError: true, name: "g")
        #expect(
            transform(call, result("x", .text("1")), user(.text("2"))) == [
                call, result("x", .text("1")), missing, user(.text("2")),
            ])
        #expect(transform(call, result("x", .text("1")), call).count == 4)
        #expect(transform(call) == [call])
    }

    @Test func `a result comes once, and only behind its call`() {
        let call = assistant(toolCall("x", "f"), stopReason: .toolUse)
        let messages = transform(
            result("x", .text("early")), call, result("x", .text("1")), result("x", .text("2")), user(.text("u")),
            result("x", .text("late")))
        #expect(messages == [call, result("x", .text("1")), user(.text("u"))])
    }

    @Test func `system messages are left out, as the prompt has them`() {
        #expect(transform(.system(SystemMessage(text: "s", timestamp: noTime)), user(.text("u"))) == [user(.text("u"))])
    }
}
