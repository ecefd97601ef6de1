import TauCore
import Testing

@testable import TauProviders

struct MessagesRequestTests {
    private func body(_ request: ModelRequest) -> JSONValue { MessagesRequest(request: request).body }
    private let sonnet = "anthropic/claude-sonnet-4-5"

    private func own(_ content: ContentBlock..., stopReason: StopReason = .stop) -> Message {
        .assistant(
            AssistantMessage(
                content: content, api: "anthropic-messages",
                model: ModelReference(provider: "anthropic", id: "claude-sonnet-4-5"), stopReason: stopReason,
                timestamp: noTime))
    }

    @Test func `a plain request has its prompt and its last message cached`() {
        let body = body(
            request(listed(sonnet), [user(.text("Hi"), .text("you"))], systemPrompt: "Be kind.", tools: [readTool]))
        let expected: JSONValue = [
            "model": "claude-sonnet-4-5",
            "messages": [
                [
                    "role": "user",
                    "content": [
                        ["type": "text", "text": "Hi"],
                        ["type": "text", "text": "you", "cache_control": ["type": "ephemeral"]],
                    ],
                ]
            ],
            "max_tokens": 32000, "stream": true,
            "system": [["type": "text", "text": "Be kind.", "cache_control": ["type": "ephemeral"]]],
            "tools": [
                [
                    "name": "read", "description": "Reads a file",
                    "input_schema": [
                        "type": "object",
                        "properties": ["path": ["type": "string"], "limit": ["type": "integer"]],
                        "required": ["path"],
                    ],
                ]
            ],
        ]
        #expect(body == expected)
    }

    @Test func `calls, results, thinking and images are mapped`() {
        let messages = [
            user(.text("Look"), image, .text(" ")),
            own(
                thinking("t", "sig"), thinking("", "payload", isRedacted: true), thinking("plain"), .text("a"),
                .text(""),
                toolCall("x", "read", ["path": "p"]), toolCall("y", "read"), stopReason: .toolUse),
            result("x", .text("one"), .text("two")), result("y", image, isError: true), own(.text("done")),
        ]
        let expected: JSONValue = [
            [
                "role": "user",
                "content": [
                    ["type": "text", "text": "Look"],
                    ["type": "image", "source": ["type": "base64", "media_type": "image/png", "data": "aGk="]],
                ],
            ],
            [
                "role": "assistant",
                "content": [
                    ["type": "thinking", "thinking": "t", "signature": "sig"],
                    ["type": "redacted_thinking", "data": "payload"], ["type": "text", "text": "plain"],
                    ["type": "text", "text": "a"],
                    ["type": "tool_use", "id": "x", "name": "read", "input": ["path": "p"]],
                    ["type": "tool_use", "id": "y", "name": "read", "input": [:]],
                ],
            ],
            [
                "role": "user",
                "content": [
                    ["type": "tool_result", "tool_use_id": "x", "content": "one\ntwo", "is_error": false],
                    [
                        "type": "tool_result", "tool_use_id": "y",
                        "content": [
                            ["type": "text", "text": "(see attached image)"],
                            [
                                "type": "image",
                                "source": ["type": "base64", "media_type": "image/png", "data": "aGk="],
                            ],
                        ],
                        "is_error": true, "cache_control": ["type": "ephemeral"],
                    ],
                ],
            ],
            ["role": "assistant", "content": [["type": "text", "text": "done"]]],
        ]
        #expect(body(request(listed(sonnet), messages))["messages"] == expected)
    }

    @Test(arguments: [
        (ThinkingLevel.off, nil, 32_000), (.minimal, 1024, 33_024), (.low, 2048, 34_048), (.medium, 8192, 40_192),
        (.high, 16_384, 48_384), (.max, 16_384, 48_384),
    ])
    func `a thinking level becomes a budget beside the answer`(_ level: ThinkingLevel, _ budget: Int?, _ maximum: Int) {
        let body = body(request(listed(sonnet), [user(.text("Hi"))], thinking: level))
        #expect(body["thinking"]?["budget_tokens"]?.integer == budget)
        #expect(body["max_tokens"]?.integer == maximum)
    }

    @Test func `a budget leaves room for the answer within the model's limit`() {
        var small = listed(sonnet)
        small.maxOutputTokens = 8192
        let bounded = body(request(small, [user(.text("Hi"))], thinking: .high, maxOutputTokens: 4000))
        #expect(bounded["max_tokens"] == 8192)
        #expect(bounded["thinking"] == ["type": "enabled", "budget_tokens": 7168])
        small.maxOutputTokens = 1500
        #expect(body(request(small, [user(.text("Hi"))], thinking: .high))["thinking"] == nil)
        let old = body(request(listed("anthropic/claude-3-5-haiku-20241022"), [user(.text("Hi"))], thinking: .high))
        #expect(old["thinking"] == nil)
        #expect(old["max_tokens"] == 8192)
    }

    @Test func `newer models decide themselves how long they think`() {
        let opus = MessagesRequest(
            request: request(listed("anthropic/claude-opus-4-6"), [user(.text("Hi"))], thinking: .max))
        #expect(opus.body["thinking"] == ["type": "adaptive"])
        #expect(opus.body["output_config"] == ["effort": "max"])
        #expect(opus.betas.count == 1)
        let sonnet = body(request(listed("anthropic/claude-sonnet-4-6"), [user(.text("Hi"))], thinking: .max))
        #expect(sonnet["output_config"] == ["effort": "high"])
    }
}
