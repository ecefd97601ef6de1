import TauCore
import Testing

/// What watchers of a run read, as the API's description has it.
@Suite struct RunEventTests {
    static let time = Timestamp(milliseconds: 0)
    static let user = Message.user(UserMessage(content: [.text("hi")], timestamp: time))
    static let userJSON = #"{"role":"user","content":[{"type":"text","text":"hi"}],"timestamp":0}"#
    static let call = ToolCall(
        id: "c1", name: "read", arguments: JSONObject(members: [.init(key: "path", value: "a\nb")]))
    static let callHead = #""toolCallId":"c1","toolName":"read""#
    static let result = ToolResultMessage(
        toolCallID: "c1", toolName: "read", content: [.text("ok")], isError: false, timestamp: time)
    static let resultJSON =
        #"{"role":"toolResult","toolCallId":"c1","toolName":"read","content":[{"type":"text","text":"ok"}],"isError":false,"timestamp":0}"#

    func text(_ event: RunEvent) -> String { String(decoding: event.serialized, as: UTF8.self) }

    @Test func `events of a turn have Pi's shapes`() {
        #expect(text(.agentStart) == #"{"type":"agent_start"}"#)
        #expect(text(.turnStart) == #"{"type":"turn_start"}"#)
        #expect(text(.messageStart(Self.user)) == #"{"type":"message_start","message":\#(Self.userJSON)}"#)
        #expect(text(.messageEnd(Self.user)) == #"{"type":"message_end","message":\#(Self.userJSON)}"#)
        #expect(
            text(.turnEnd(message: Self.user, results: [Self.result]))
                == #"{"type":"turn_end","message":\#(Self.userJSON),"toolResults":[\#(Self.resultJSON)]}"#)
        #expect(
            text(.agentEnd([Self.user, .toolResult(Self.result)]))
                == #"{"type":"agent_end","messages":[\#(Self.userJSON),\#(Self.resultJSON)]}"#)
        #expect(text(.agentEnd([])) == #"{"type":"agent_end","messages":[]}"#)
    }

    @Test func `events of a tool have Pi's shapes`() {
        let output = ToolOutput(text: "half", details: ["n": 1])
        let outputJSON = #"{"content":[{"type":"text","text":"half"}],"details":{"n":1}}"#
        #expect(
            text(.toolExecutionStart(Self.call))
                == #"{"type":"tool_execution_start",\#(Self.callHead),"args":{"path":"a\nb"}}"#)
        #expect(
            text(.toolExecutionUpdate(Self.call, partial: output))
                == #"{"type":"tool_execution_update",\#(Self.callHead),"args":{"path":"a\nb"},"partialResult":\#(outputJSON)}"#
        )
        #expect(
            text(.toolExecutionEnd(Self.call, result: ToolOutput(text: "x"), isError: true))
                == #"{"type":"tool_execution_end",\#(Self.callHead),"result":{"content":[{"type":"text","text":"x"}]},"isError":true}"#
        )
    }

    @Test func `updates tell the index and the piece, never the growing message`() {
        func update(_ event: ModelEvent, _ call: ToolCall? = nil) -> String {
            text(.messageUpdate(event, toolCall: call))
                .replacing(#"{"type":"message_update","assistantMessageEvent":"#, with: "")
        }
        #expect(update(.textStart(index: 0)) == #"{"type":"text_start","contentIndex":0}}"#)
        #expect(update(.textDelta(index: 0, "a\"")) == #"{"type":"text_delta","contentIndex":0,"delta":"a\""}}"#)
        #expect(update(.textEnd(index: 0, signature: "s")) == #"{"type":"text_end","contentIndex":0}}"#)
        #expect(update(.thinkingStart(index: 1)) == #"{"type":"thinking_start","contentIndex":1}}"#)
        #expect(update(.thinkingDelta(index: 1, "b")) == #"{"type":"thinking_delta","contentIndex":1,"delta":"b"}}"#)
        #expect(
            update(.thinkingEnd(index: 1, signature: "s", isRedacted: true))
                == #"{"type":"thinking_end","contentIndex":1}}"#)
        #expect(
            update(.toolCallStart(index: 2, id: "c1", name: "read"))
                == #"{"type":"toolcall_start","contentIndex":2,"id":"c1","toolName":"read"}}"#)
        #expect(
            update(.toolCallDelta(index: 2, "{}")) == #"{"type":"toolcall_delta","contentIndex":2,"delta":"{}"}}"#)
        #expect(
            update(.toolCallEnd(index: 2), Self.call)
                == #"{"type":"toolcall_end","contentIndex":2,"toolCall":{"type":"toolCall","id":"c1","name":"read","arguments":{"path":"a\nb"}}}}"#
        )
    }

    @Test func `an appended entry is shown as its line`() throws {
        let line = #"{"type":"future","id":"e", "parentId":null,"n":1.0}"#
        let entry = try Entry(line: Array(line.utf8)[...])
        #expect(text(.entryAppended(entry)) == #"{"type":"entry_appended","entry":\#(line)}"#)
    }

    @Test func `a run is shown whole, at its start and at its end`() {
        var run = Run(
            id: RunID(unchecked: "r"), sessionID: SessionID(unchecked: "s"), status: .queued, createdAt: Self.time,
            model: ModelReference(provider: "p", id: "m"), leafID: nil, node: "n1")
        let zero =
            #"{"input":0,"output":0,"cacheRead":0,"cacheWrite":0,"totalTokens":0,"cost":{"input":0,"output":0,"cacheRead":0,"cacheWrite":0,"total":0}}"#
        #expect(
            text(.runState(run))
                == #"{"type":"run_state","run":{"id":"r","sessionId":"s","status":"queued","createdAt":"1970-01-01T00:00:00.000Z","startedAt":null,"finishedAt":null,"model":{"provider":"p","id":"m"},"choice":null,"usage":\#(zero),"error":null,"leafId":null,"pendingApprovals":[],"node":"n1"}}"#
        )
        run.status = .failed
        run.startedAt = Timestamp(milliseconds: 1)
        run.finishedAt = Timestamp(milliseconds: 2)
        run.failure = Run.Failure(code: "model_unavailable", message: "no \"key\"")
        run.leafID = EntryID(unchecked: "e")
        run.usage.cost = nil
        #expect(
            text(.runState(run))
                == #"{"type":"run_state","run":{"id":"r","sessionId":"s","status":"failed","createdAt":"1970-01-01T00:00:00.000Z","startedAt":"1970-01-01T00:00:00.001Z","finishedAt":"1970-01-01T00:00:00.002Z","model":{"provider":"p","id":"m"},"choice":null,"usage":{"input":0,"output":0,"cacheRead":0,"cacheWrite":0,"totalTokens":0,"cost":null},"error":{"code":"model_unavailable","message":"no \"key\""},"leafId":"e","pendingApprovals":[],"node":"n1"}}"#
        )
    }

    @Test func `final states are those after which nothing happens`() {
        let final: [Run.Status] = [.completed, .failed, .cancelled, .interrupted]
        let open: [Run.Status] = [.queued, .running, .waiting]
        #expect(final.allSatisfy { $0.isFinal })
        #expect(!open.contains { $0.isFinal })
    }

    @Test func `every event is one line that names its type`() throws {
        let events: [RunEvent] = [
            .agentStart, .turnStart, .messageStart(Self.user), .toolExecutionStart(Self.call),
            .messageUpdate(.usage(Usage()), toolCall: nil), .agentEnd([Self.user]),
        ]
        for event in events {
            #expect(!event.serialized.contains(UInt8(ascii: "\n")))
            #expect(try JSONValue(parsing: event.serialized)["type"]?.string == event.type)
        }
    }
}
