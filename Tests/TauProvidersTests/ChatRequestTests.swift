import TauCore
import Testing

@testable import TauProviders

struct ChatRequestTests {
    private func body(_ request: ModelRequest, _ compatibility: ChatCompatibility = .conservative) -> JSONValue {
        ChatRequest(request: request, compatibility: compatibility).body
    }

    private let local = BuiltInModels.unlisted(
        ModelReference(provider: "openai", id: "local"), api: OpenAIChatProvider.api)

    @Test func `a plain request asks a compatible server only for what all of them know`() {
        let body = body(
            request(local, [user(.text("Hi"))], systemPrompt: "Be kind.", thinking: .high, maxOutputTokens: 50_000))
        let expected: JSONValue = [
            "model": "local",
            "messages": [["role": "system", "content": "Be kind."], ["role": "user", "content": "Hi"]],
            "stream": true, "stream_options": ["include_usage": true], "max_tokens": 8192,
        ]
        #expect(body == expected)
    }

    @Test func `a request to OpenAI uses its newer fields`() {
        let body = body(
            request(
                listed("openai/gpt-5"), [user(.text("Hi"))], systemPrompt: "Be kind.", tools: [readTool],
                thinking: .xhigh, maxOutputTokens: 100), .openAI)
        let expected: JSONValue = [
            "model": "gpt-5",
            "messages": [["role": "developer", "content": "Be kind."], ["role": "user", "content": "Hi"]],
            "stream": true, "stream_options": ["include_usage": true], "store": false,
            "max_completion_tokens": 100,
            "tools": [
                [
                    "type": "function",
                    "function": [
                        "name": "read", "description": "Reads a file", "parameters": readTool.parameters,
                        "strict": false,
                    ],
                ]
            ],
            "reasoning_effort": "high", "prompt_cache_key": "s1",
        ]
        #expect(body == expected)
    }

    @Test func `calls, results, thinking and images are mapped`() {
        let messages = [
            user(.text("Look"), image),
            assistant(
                thinking("one", "reasoning"), thinking("two", "reasoning"), .text("a"), .text(" "), .text("b"),
                toolCall("x", "read", ["path": "p"]), toolCall("y", "read"), stopReason: .toolUse),
            result("x", .text("one"), .text("two")), result("y", image), user(.text("Go on")),
            assistant(thinking("only", "reasoning")), user(.text("?")),
        ]
        let expected: JSONValue = [
            [
                "role": "user",
                "content": [
                    ["type": "text", "text": "Look"],
                    ["type": "image_url", "image_url": ["url": "data:image/png;base64,aGk="]],
                ],
            ],
            [
                "role": "assistant", "content": "ab", "reasoning": "one\ntwo",
                "tool_calls": [
                    ["id": "x", "type": "function", "function": ["name": "read", "arguments": #"{"path":"p"}"#]],
                    ["id": "y", "type": "function", "function": ["name": "read", "arguments": "{}"]],
                ],
            ],
            ["role": "tool", "tool_call_id": "x", "content": "one\ntwo"],
            ["role": "tool", "tool_call_id": "y", "content": "(see attached image)"],
            [
                "role": "user",
                "content": [
                    ["type": "text", "text": "Attached image(s) from tool result:"],
                    ["type": "image_url", "image_url": ["url": "data:image/png;base64,aGk="]],
                ],
            ],
            ["role": "user", "content": "Go on"], ["role": "user", "content": "?"],
        ]
        let body = body(request(listed("openai/gpt-4o"), messages))
        #expect(body["messages"] == expected)
        // There were calls, so something must be said of tools.
        #expect(body["tools"] == [])
    }

    @Test func `a call alone has no content, and thinking cannot name a field of its own`() {
        let call = assistant(thinking("t", "role"), toolCall("x", "read"), stopReason: .toolUse)
        let body = body(request(listed("openai/gpt-4o"), [call, result("x")], tools: [readTool]))
        let message = body["messages"]?.array?.first
        #expect(message?["role"] == "assistant")
        #expect(message?["content"] == .null)
        #expect(body["messages"]?.array?.last?["content"] == "(no output)")
    }

    @Test func `a model without eyes is sent no images`() {
        let body = body(request(local, [user(.text("Look"), image), user(image), user()]))
        let expected: JSONValue = [
            ["role": "user", "content": "Look"],
            ["role": "user", "content": "(image omitted: this model takes no images)"],
        ]
        #expect(body["messages"] == expected)
    }

    @Test(arguments: [
        (ThinkingLevel.off, "gpt-5", nil), (.minimal, "gpt-5", "minimal"), (.minimal, "o3", "low"),
        (.medium, "o3", "medium"), (.max, "gpt-5", "high"), (.high, "gpt-4o", nil),
    ])
    func `the thinking level becomes an effort`(_ level: ThinkingLevel, _ id: String, _ effort: String?) {
        let body = body(request(listed("openai/\(id)"), [user(.text("Hi"))], thinking: level), .openAI)
        #expect(body["reasoning_effort"]?.string == effort)
    }

    @Test func `Mistral's server gets what it wants`() {
        let mistral = KnownProvider.mistral.compatibility
        let messages = [
            user(.text("Go")), assistant(thinking("hm", "reasoning"), toolCall("call_with_long_id", "read")),
            result("call_with_long_id", .text("x")), user(.text("And?")),
        ]
        let sent = body(request(local, messages), mistral)
        let elements = sent["messages"]?.array ?? []
        #expect(elements.map { $0["role"]?.string } == ["user", "assistant", "tool", "assistant", "user"])
        let id = elements[1]["tool_calls"]?.array?.first?["id"]?.string
        #expect(id?.utf8.count == 9)
        #expect(elements[2]["tool_call_id"]?.string == id)
        #expect(elements[2]["name"] == "f" || elements[2]["name"]?.string?.isEmpty == false)
        #expect(elements[1]["content"]?.string?.contains("hm") == true)
        #expect(sent["stream_options"] == nil)
        #expect(
            body(request(local, [user(.text("Go")), assistant(toolCall("x", "f")), result("x", .text("y"))]), mistral)[
                "tools"] == nil)
    }

    @Test func `OpenRouter's Claude is told what to cache, and how much to think`() {
        var claude = local
        claude.reference.id = "anthropic/claude-sonnet-5"
        claude.supportsReasoning = true
        let sent = body(
            request(claude, [user(.text("Go"))], thinking: .high), KnownProvider.openRouter.compatibility)
        #expect(sent["reasoning"] == ["effort": "high"])
        let part = sent["messages"]?.array?.last?["content"]?.array?.first
        #expect(part == ["type": "text", "text": "Go", "cache_control": ["type": "ephemeral"]])
        #expect(
            body(request(claude, [user(.text("Go"))]), KnownProvider.openRouter.compatibility)["reasoning"] == [
                "enabled": false
            ])
    }

    @Test func `local servers are told to think by their templates`() {
        var model = local
        model.supportsReasoning = true
        let sent = body(request(model, [user(.text("Go"))], thinking: .low), KnownProvider.llamaCpp.compatibility)
        #expect(sent["chat_template_kwargs"] == ["enable_thinking": true])
        var qwen = ChatCompatibility.conservative
        qwen.thinking = .enableThinking
        #expect(body(request(model, [user(.text("Go"))]), qwen)["enable_thinking"] == false)
    }

    @Test func `the newest GPT models think harder than high`() throws {
        let sent = body(request(listed("openai/gpt-5.4"), [user(.text("Go"))], thinking: .max), .openAI)
        #expect(sent["reasoning_effort"] == "xhigh")
        #expect(
            body(request(listed("openai/gpt-5.4"), [user(.text("Go"))], thinking: .minimal), .openAI)[
                "reasoning_effort"] == "low")
    }

    @Test func `encrypted reasoning goes back with its call`() {
        let detail: JSONValue = ["type": "reasoning.encrypted", "id": "x", "data": "secret"]
        var call = ToolCall(id: "x", name: "f", arguments: JSONObject())
        call.thoughtSignature = detail.text
        let own = assistant(.toolCall(call), api: "openai-completions", model: "openai/local", stopReason: .toolUse)
        let sent = body(request(local, [user(.text("Go")), own, result("x", .text("y"))]))
        #expect(sent["messages"]?.array?[1]["reasoning_details"] == [detail])
    }
}
