import TauCore
import TauTestKit
import Testing

@testable import TauProviders

@Suite(.timeLimit(.minutes(1)))
struct ScriptedProviderTests {
    private func run(
        _ script: Script?, _ messages: [Message], tools: [ToolDefinition] = [],
        clock: any Clock<Duration> = JumpingClock()
    ) async -> (outcome: CallOutcome, events: [ModelEvent], usage: Usage) {
        var outcome = CallOutcome()
        var events: [ModelEvent] = []
        var assembler = MessageAssembler()
        do throws(ProviderError) {
            let request = request(BuiltInModels.scripted, messages, tools: tools)
            outcome.reply = try await ScriptedProvider(script: script, clock: clock).stream(request) { event in
                assembler.apply(event)
                events.append(event)
            }
        } catch {
            outcome.error = error
        }
        outcome.content = assembler.content
        return (outcome, events, assembler.usage)
    }

    private func script(_ json: String) throws -> Script { try Script(parsing: Array(json.utf8)) }

    @Test func `the conversation says which reply is next, and the last is repeated`() async throws {
        let script = try script(#"{"replies":[{"content":"one"},{"content":"two"}]}"#)
        var messages = [user(.text("a"))]
        for expected in ["one", "two", "two"] {
            #expect(await run(script, messages).outcome.content == [.text(expected)])
            messages += [assistant(.text(expected)), user(.text("b"))]
        }
        var loop = script
        loop.loops = true
        #expect(await run(loop, messages).outcome.content == [.text("two")])
        messages += [assistant(.text("x")), user(.text("c"))]
        #expect(await run(loop, messages).outcome.content == [.text("one")])
    }

    @Test func `a reply may wait for certain words, and goes on with the turns of that message`() async throws {
        let script = try script(
            """
            {"replies":[
              {"content":"other"},
              {"when":{"contains":"WEATHER"},"content":[{"type":"toolCall","name":"get","arguments":{"a":1.0}}]},
              {"when":{"contains":"weather"},"content":"sunny"}
            ]}
            """)
        let question = [user(.text("x")), assistant(.text("other")), user(.text("The weather?"))]
        let first = await run(script, question).outcome
        guard case .toolCall(let call)? = first.content.first else { throw ProviderError(.malformed, "no call") }
        #expect(call.arguments == JSONObject(members: [.init(key: "a", value: .number("1.0"))]))
        #expect(first.reply?.stopReason == .toolUse)
        let second = question + [assistant(.toolCall(call)), result(call.id, .text("20"))]
        #expect(await run(script, second).outcome.content == [.text("sunny")])
        #expect(await run(script, second + [assistant(.text("sunny"))]).outcome.content == [.text("other")])
        #expect(await run(script, [user(.text("x"))]).outcome.content == [.text("other")])
    }

    @Test func `the pieces and their delays are those of the script`() async throws {
        let script = try script(
            """
            {"chunkSize":2,"chunkDelayMs":5,"replies":[{"delayMs":100,"usage":{"input":10,"output":4,"cacheRead":3},
              "stopReason":"length","content":[
                {"type":"thinking","thinking":"abc","signature":"s"},{"type":"text","text":"é😀x"},
                {"type":"toolCall","id":"c1","name":"f","argumentsText":"{\\"a"}]}]}
            """)
        let clock = JumpingClock()
        let (outcome, events, usage) = await run(script, [user(.text("x"))], clock: clock)
        #expect(
            Array(events.dropFirst().dropLast()) == [
                .thinkingStart(index: 0), .thinkingDelta(index: 0, "ab"), .thinkingDelta(index: 0, "c"),
                .thinkingEnd(index: 0, signature: "s"), .textStart(index: 1), .textDelta(index: 1, "é😀"),
                .textDelta(index: 1, "x"), .textEnd(index: 1), .toolCallStart(index: 2, id: "c1", name: "f"),
                .toolCallDelta(index: 2, "{\""), .toolCallDelta(index: 2, "a"), .toolCallEnd(index: 2),
            ])
        #expect(clock.waits == [.milliseconds(100)] + Array(repeating: .milliseconds(5), count: 6))
        #expect(outcome.reply?.stopReason == .length)
        #expect(usage == Usage(input: 10, output: 4, cacheRead: 3))
    }

    @Test func `usage is estimated where the script does not say it`() async {
        let reply = Script(replies: [Script.Reply("12345")])
        #expect(await run(reply, [user(.text("123456789"))]).usage == Usage(input: 3, output: 2))
    }

    @Test func `failures come before an answer, in it, and behind it`() async throws {
        let script = try script(
            """
            {"chunkSize":1,"replies":[
              {"errorBefore":{"code":"rateLimited","message":"Slow","retryAfter":1.5}},
              {"content":"abc","errorAfterEvents":3},
              {"content":"abc","errorAfterEvents":{"events":99,"code":"overloaded","message":"Late"}}
            ]}
            """)
        let messages = [user(.text("x")), assistant(.text("a")), assistant(.text("b"))]
        let before = await run(script, Array(messages[..<1]))
        #expect(before.outcome.error == ProviderError(.rateLimited, "Slow", retryAfter: 1.5))
        #expect(before.events.isEmpty)
        let middle = await run(script, Array(messages[..<2])).outcome
        #expect(middle.error?.code == .network)
        #expect(middle.content == [.text("ab")])
        let late = await run(script, messages).outcome
        #expect(late.error == ProviderError(.overloaded, "Late"))
        #expect(late.content == [.text("abc")])
    }

    @Test func `a waiting call can be cancelled`() async throws {
        let script = try script(#"{"replies":[{"content":"abc","chunkSize":1,"chunkDelayMs":3600000}]}"#)
        await withTaskGroup(of: CallOutcome.self) { group in
            group.addTask { await run(script, [user(.text("x"))], clock: ContinuousClock()).outcome }
            group.cancelAll()
            for await outcome in group { #expect(outcome.error?.code == .cancelled) }
        }
    }

    @Test(arguments: [
        ("[]", "the script must be an object"), ("{", "the script is not JSON: expected a string at byte 1"),
        (#"{"replies":[]}"#, "replies must not be empty"), ("{}", "the script needs replies"),
        (#"{"replies":[{"content":[{"type":"text","text":1}]}]}"#, "replies[0].content[0].text must be a string"),
        (
            #"{"replies":[{"content":"a"},{"content":[{"type":"x"}]}]}"#,
            "replies[1].content[0].type must be text, thinking or toolCall"
        ),
        (#"{"replies":[{"content":"a","delayMs":-1}]}"#, "replies[0].delayMs must be a whole number from 0 to 3600000"),
        (
            #"{"replies":[{"content":"a","wen":1}]}"#,
            "replies[0] has the unknown key \"wen\"; known are chunkDelayMs, chunkSize, content, delayMs, "
                + "errorAfterEvents, errorBefore, stopReason, usage, when"
        ),
        (
            #"{"replies":[{"content":"a","stopReason":"error"}]}"#,
            "replies[0].stopReason must be one of length, stop, toolUse"
        ),
    ])
    func `a script that is wrong says where`(_ json: String, _ message: String) {
        #expect { try script(json) } throws: { "\($0)" == message }
    }

    // MARK: Demonstration

    private let tools = [
        readTool, ToolDefinition(name: "bash", description: "", parameters: ["type": "object", "properties": [:]]),
    ]

    @Test func `the demonstration tells how to set a key`() async throws {
        let text = try #require(await run(nil, [user(.text("Hello"))]).outcome.content.first?.text)
        #expect(text.hasPrefix("You said: “Hello”. This is Tau's scripted model"))
        #expect(text.contains("ANTHROPIC_API_KEY"))
    }

    @Test func `the demonstration calls the tools that it is told to, and quotes their results`() async throws {
        let message = user(
            .text(
                """
                Please use read with path=notes.v1.txt, limit=5. Then use bash with command="echo \\"a, b.\\" 
                x=1", mode=fast.
                """))
        let outcome = await run(nil, [message], tools: tools).outcome
        let calls = outcome.content.compactMap { if case .toolCall(let call) = $0 { call } else { nil } }
        #expect(calls.map(\.name) == ["read", "bash"])
        #expect(JSONValue.object(calls[0].arguments) == ["path": "notes.v1.txt", "limit": 5])
        #expect(JSONValue.object(calls[1].arguments) == ["command": "echo \"a, b.\" \nx=1", "mode": "fast"])
        #expect(calls[0].id != calls[1].id)
        #expect(outcome.reply?.stopReason == .toolUse)
        let results = [
            result(calls[0].id, .text("text")), result(calls[1].id, isError: true, name: "bash"),
        ]
        let answer = await run(nil, [message, assistant(.toolCall(calls[0]))] + results, tools: tools).outcome
        #expect(answer.content == [.text("read said: text\nbash failed: (no output)")])
        #expect(answer.reply?.stopReason == .stop)
    }

    @Test(arguments: [
        ("Use bash.", 1), ("use BASH with command=ls", 1), ("Use caution. I use it with care.", 0),
        ("Use unknown with a=1", 1), ("Because with a=1", 0), ("use", 0), ("Use bash with", 1), ("Use read with =", 1),
        ("Use read with path=\"open", 1), ("", 0), ("Use bash with a=1,", 1),
    ])
    func `only commands call tools`(_ text: String, _ count: Int) {
        #expect(DemonstrationCommand.commands(in: text, tools: tools).count == count)
    }

    @Test func `a failure that happens so many times is over then`() async throws {
        let provider = ScriptedProvider(
            script: try script(
                #"{"replies":[{"content":"at last","errorBefore":{"code":"overloaded","times":2}}]}"#))
        let request = request(BuiltInModels.scripted, [user(.text("x"))])
        for _ in 0..<2 {
            await #expect(throws: ProviderError(.overloaded, "The script says so.")) {
                try await provider.stream(request) { _ in }
            }
        }
        #expect(try await provider.stream(request) { _ in }.stopReason == .stop)
    }
}
