import TauTestKit
import Testing

@testable import TauCore

@Suite struct ValueTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (1_773_606_850_123, "2026-03-15T20:34:10.123Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"), (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] as [(Int64, String)])
    func `times are written and read in ISO 8601`(_ pair: (Int64, String)) {
        #expect(Timestamp(milliseconds: pair.0).description == pair.1)
        #expect(Timestamp(pair.1)?.milliseconds == pair.0)
    }

    @Test func `times of other zones and precisions are read`() {
        #expect(Timestamp("2026-03-15T22:34:10.1+02:00")?.description == "2026-03-15T20:34:10.100Z")
        #expect(Timestamp("2026-03-15T20:34:10Z")?.description == "2026-03-15T20:34:10.000Z")
        #expect(Timestamp("2026-03-15T20:34:10.123456789-00:30")?.description == "2026-03-15T21:04:10.123Z")
    }

    @Test(arguments: [
        "", "2026-03-15", "2026-13-15T20:34:10Z", "2026-03-15T24:34:10Z", "2026-03-15T20:34:10", "2026-03-15 20:34:10Z",
        "2026-03-15T20:34:10.Z", "2026-03-15T20:34:10Zx", "x026-03-15T20:34:10Z", "2026-03-15T20:34:10+2",
    ])
    func `anything else is no time`(_ text: String) { #expect(Timestamp(text) == nil) }

    @Test(arguments: [
        "a", "0", "01a20aeb-27b4-7ff6-b432-0b63446cecaf", "a.b_c-d", "a..b", String(repeating: "x", count: 128),
    ])
    func `safe names are session ids`(_ text: String) { #expect(SessionID(text)?.rawValue == text) }

    @Test(arguments: [
        "", ".", "..", "-a", "a-", "a/b", "../a", "a b", "a\0b", "é", "../\u{301}x", "a\n",
        String(repeating: "x", count: 129),
    ])
    func `what could leave the directory is no session id`(_ text: String) { #expect(SessionID(text) == nil) }

    @Test func `ids are compared by bytes`() {
        #expect(EntryID(unchecked: "caf\u{e9}") != EntryID(unchecked: "cafe\u{301}"))
        #expect(EntryID(unchecked: "a\u{323}\u{301}") != EntryID(unchecked: "a\u{301}\u{323}"))
        #expect(Set([EntryID(unchecked: "caf\u{e9}"), EntryID(unchecked: "cafe\u{301}")]).count == 2)
    }

    @Test func `new ids are UUIDs of version 7 that sort by time, and eight digits for entries`() {
        let identifiers = IdentifierSource()
        let ids = (0..<50).map { identifiers.uuid(at: Timestamp(milliseconds: 1_700_000_000_000 + Int64($0))) }
        #expect(ids == ids.sorted())
        #expect(
            ids.allSatisfy {
                $0.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil
            })
        var calls = 0
        let entry = identifiers.entryID { _ in
            calls += 1
            return calls < 5
        }
        #expect(calls == 5)
        #expect(entry.rawValue.wholeMatch(of: /[0-9a-f]{8}/) != nil)
        #expect(identifiers.entryID { _ in true }.rawValue.count == 32)
    }

    @Test func `usage adds up, and an unknown price makes the sum unknown`() {
        let prices = Prices(input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75)
        var usage = Usage(input: 1000, output: 500, cacheRead: 200, cacheWrite: 100)
        #expect(usage.totalTokens == 1800)
        usage.cost = prices.cost(of: usage)
        #expect(abs((usage.cost?.total ?? 0) - (0.003 + 0.0075 + 0.00006 + 0.000375)) < 1e-12)
        var sum = usage
        sum += usage
        #expect(sum.totalTokens == 3600)
        sum += Usage(input: 1, output: 1, cost: nil)
        #expect(sum.cost == nil)
        #expect(sum.input == 2001)
    }

    @Test func `a usage of an old file counts its parts`() throws {
        let json = try JSONValue(
            parsing: #"{"input":5,"output":7,"cacheRead":1,"cacheWrite":2,"cost":{"input":0.5,"total":0.5}}"#)
        let usage = Usage(json: json)
        #expect(usage.totalTokens == 15)
        #expect(usage.cost?.total == 0.5)
        #expect(Usage(json: nil) == Usage())
    }

    @Test func `a usage is the same off its text and off its value`() throws {
        var generator = SeededGenerator(seed: 7)
        let values = [
            "0", "12", "-3", "1.0", "2e3", "0.25", "1e400", "999999999", "1000000001", "123456789012345678901", "-0",
            "null", "true", "\"5\"", "[1,{}]", "{\"input\":1}",
        ]
        let keys = ["input", "output", "cacheRead", "cacheWrite", "totalTokens", "total", "x"]
        func members(_ names: [String]) -> String {
            (0..<Int.random(in: 0...7, using: &generator)).map { _ in
                "\"\(names.randomElement(using: &generator) ?? "")\": \(values.randomElement(using: &generator) ?? "")"
            }.joined(separator: " , ")
        }
        for _ in 0..<5000 {
            var text = members(keys)
            if Bool.random(using: &generator) {
                let cost =
                    Bool.random(using: &generator)
                    ? "{\(members(keys))}" : values.randomElement(using: &generator) ?? ""
                text += (text.isEmpty ? "" : ",") + "\"cost\":\(cost)"
            }
            let bytes = Array("{\(text)}".utf8)
            #expect(Usage(scanning: bytes[...]) == Usage(json: try JSONValue(parsing: bytes)), "{\(text)}")
        }
        for broken in ["", "5", "null", "[]", "{", "{\"input\":}", "{}x"] {
            #expect(Usage(scanning: Array(broken.utf8)[...]) == nil, "\(broken)")
        }
    }

    @Test func `messages are written in Pi's order and read back`() throws {
        let call = ToolCall(id: "c1", name: "read", arguments: JSONObject(members: [.init(key: "path", value: "a")]))
        let assistant = AssistantMessage(
            content: [.thinking(ThinkingBlock(thinking: "hm", signature: "s")), .text("hi"), .toolCall(call)],
            api: "openai-completions", model: ModelReference(provider: "openai", id: "gpt"),
            usage: Usage(input: 1, output: 2),
            stopReason: .toolUse, errorMessage: "e", responseID: "r", timestamp: Timestamp(milliseconds: 5))
        let text = String(decoding: Message.assistant(assistant).serialized, as: UTF8.self)
        #expect(
            text
                == #"{"role":"assistant","content":[{"type":"thinking","thinking":"hm","thinkingSignature":"s"},{"type":"text","text":"hi"},{"type":"toolCall","id":"c1","name":"read","arguments":{"path":"a"}}],"api":"openai-completions","provider":"openai","model":"gpt","usage":{"input":1,"output":2,"cacheRead":0,"cacheWrite":0,"totalTokens":3,"cost":{"input":0,"output":0,"cacheRead":0,"cacheWrite":0,"total":0}},"stopReason":"toolUse","timestamp":5,"errorMessage":"e","responseId":"r"}"#
        )
        #expect(try Message(json: JSONValue(parsing: text)) == .assistant(assistant))
        let result = Message.toolResult(
            ToolResultMessage(
                toolCallID: "c1", toolName: "read",
                content: [.text("x"), .image(ImageBlock(data: "AA==", mimeType: "image/png"))],
                details: ["k": 1], isError: true, timestamp: Timestamp(milliseconds: 6)))
        #expect(try Message(json: JSONValue(parsing: result.serialized)) == result)
        // Missing content counts as none.
        let empty = try Message(json: JSONValue(parsing: #"{"role":"user","content":null,"timestamp":1}"#))
        #expect(empty == .user(UserMessage(content: [], timestamp: Timestamp(milliseconds: 1))))
    }

    @Test func `an answer is put together from its events`() {
        var assembler = MessageAssembler()
        let events: [ModelEvent] = [
            .thinkingStart(index: 0), .thinkingDelta(index: 0, "a"), .thinkingDelta(index: 0, "b"),
            .textStart(index: 1),
            .textDelta(index: 1, "hel"), .thinkingEnd(index: 0, signature: "s"), .textDelta(index: 1, "lo"),
            .textEnd(index: 1),
            .toolCallStart(index: 2, id: "c", name: "read"), .toolCallDelta(index: 2, #"{"pa"#),
            .toolCallDelta(index: 2, #"th":"x"}"#),
            .toolCallEnd(index: 2), .toolCallStart(index: 3, id: "d", name: "cut"), .toolCallDelta(index: 3, #"{"pa"#),
            .usage(Usage(input: 1, output: 2)),
        ]
        for event in events { assembler.apply(event) }
        #expect(
            assembler.content == [
                .thinking(ThinkingBlock(thinking: "ab", signature: "s")), .text("hello"),
                .toolCall(
                    ToolCall(id: "c", name: "read", arguments: JSONObject(members: [.init(key: "path", value: "x")]))),
                .toolCall(ToolCall(id: "d", name: "cut", arguments: JSONObject())),
            ])
        #expect(assembler.usage.totalTokens == 3)
    }

    @Test func `arguments are checked with every problem and its place, and near kinds are turned`() throws {
        let schema: JSONValue = [
            "type": "object", "required": ["path", "mode"], "additionalProperties": false,
            "properties": [
                "path": ["type": "string"], "count": ["type": "integer", "minimum": 1], "mode": ["enum": ["a", "b"]],
                "edits": [
                    "type": "array",
                    "items": ["type": "object", "required": ["old"], "properties": ["old": ["type": "string"]]],
                ],
                "flag": ["type": "boolean"],
            ],
        ]
        func object(_ text: String) throws -> JSONObject { try #require(try JSONValue(parsing: text).object) }
        let good = try ArgumentSchema(schema).validate(
            try object(#"{"path":5,"count":"3","mode":"a","flag":"true"}"#))
        #expect(good.problems.isEmpty)
        #expect(good.arguments["path"] == "5")
        #expect(good.arguments["count"] == 3)
        #expect(good.arguments["flag"] == true)
        let bad = try ArgumentSchema(schema).validate(
            try object(#"{"count":0,"mode":"c","edits":[{"old":"x"},{}],"more":1}"#))
        #expect(bad.problems.map(\.path) == ["path", "count", "mode", "edits.1.old", "more"])
        let failure = ArgumentValidation.failure(tool: "edit", problems: bad.problems, received: JSONObject())
        #expect(failure.message.hasPrefix("Validation failed for tool \"edit\":\n  - path: is required\n"))
        #expect(failure.message.hasSuffix("Received arguments:\n{}"))
    }
}

extension ValueTests {
    @Test(arguments: ["1e300", "-1e300", "1e19", "\"x\"", "null", "{}"])
    func `a time that is none does no harm`(_ time: String) throws {
        let json = try JSONValue(parsing: #"{"role":"user","content":"a","timestamp":\#(time)}"#)
        #expect(Message(json: json) == .user(UserMessage(content: [.text("a")], timestamp: Timestamp(milliseconds: 0))))
    }

    @Test func `counts that no model can have do not overflow a sum`() throws {
        let json = try JSONValue(
            parsing: #"{"input":9223372036854775807,"output":9223372036854775807,"totalTokens":-5}"#)
        var sum = Usage(json: json)
        sum += Usage(json: json)
        #expect(sum.input == 2_000_000_000)
        #expect(sum.totalTokens == 0)
    }
}
