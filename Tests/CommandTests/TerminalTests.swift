import TauCore
import Testing

@testable import tau

/// What a person sees, without a terminal.
@Suite struct TerminalTests {
    static func node(_ id: String, _ parent: String?, _ preview: String = "") -> JSONValue {
        [
            "id": .string(id), "parentId": parent.map { .string($0) } ?? .null, "type": "message", "role": "user",
            "preview": .string(preview),
        ]
    }

    @Test func `a chain goes straight down, branches are indented, the leaf is marked`() {
        let tree: JSONValue = [
            "leafId": "e",
            "nodes": [
                Self.node("a", nil, "first"), Self.node("b", "a"), Self.node("c", "b", "left"), Self.node("d", "c"),
                Self.node("e", "b", "right"), Self.node("f", "missing", "orphan"),
            ],
        ]
        #expect(
            TreeDrawing(tree).lines == [
                "a user first", "b user", "├─ c user left", "│  d user", "└─ e user right ←", "f user orphan",
            ])
    }

    @Test func `a very long chain is drawn without recursion`() {
        let nodes = (0..<50_000).map { Self.node("n\($0)", $0 == 0 ? nil : "n\($0 - 1)") }
        #expect(TreeDrawing(["leafId": .null, "nodes": .array(nodes)]).lines.count == 50_000)
    }

    @Test func `what a terminal would obey is made harmless`() {
        #expect(
            Terminal.harmless("a\u{1B}[2Jb\u{9B}c\u{7}\r\u{202E}d\n\te")
                == "a\u{FFFD}[2Jb\u{FFFD}c\u{FFFD}\u{FFFD}\u{FFFD}d\n\te")
        #expect(Terminal.line("one\ntwo\tthree", 20) == "one two three")
        #expect(Terminal.line("a long line", 6) == "a lon…")
    }

    static func event(_ type: String, _ json: JSONValue) -> TauClient.Event {
        TauClient.Event(number: 1, type: type, json: json, data: [])
    }

    @Test func `text streams, tool calls are one line each, failures are told`() {
        var renderer = RunRenderer()
        var pieces: [RunRenderer.Piece] = []
        for event in [
            Self.event(
                "message_update", ["assistantMessageEvent": ["type": "text_delta", "delta": "I will \u{1B}look."]]),
            Self.event("message_end", [:]),
            Self.event("tool_execution_start", ["toolName": "bash", "args": ["command": "ls\nrm x", "timeout": 5]]),
            Self.event(
                "tool_execution_end",
                ["toolName": "bash", "isError": true, "result": ["content": [["type": "text", "text": "no\nway"]]]]),
            Self.event("tool_execution_end", ["toolName": "bash", "isError": false]),
            Self.event("message_update", ["assistantMessageEvent": ["type": "thinking_delta", "delta": "hm"]]),
        ] { pieces += renderer.pieces(of: event) }
        #expect(
            pieces == [
                .text("I will \u{FFFD}look."), .text("\n"), .note("→ bash(command=ls rm x, timeout=5)"),
                .note("✗ bash: no way"),
                .thinking("hm"),
            ])
    }

    @Test func `a branch is shown as text to read`() {
        let context: JSONValue = [
            "messages": [
                ["role": "user", "content": "Hello"],
                [
                    "role": "assistant", "model": "m",
                    "content": [
                        ["type": "text", "text": "Hi"],
                        ["type": "toolCall", "id": "c", "name": "ls", "arguments": ["path": "."]],
                    ],
                ],
                [
                    "role": "toolResult", "toolName": "ls", "isError": false,
                    "content": [["type": "text", "text": "a\nb"]],
                ],
            ]
        ]
        #expect(
            ConversationText(context["messages"]?.array ?? []).lines == [
                "user", "  Hello", "", "assistant (m)", "  Hi", "→ ls {\"path\":\".\"}", "", "✓ ls", "  a", "  b", "",
            ])
    }

    @Test func `parts of a path are percent-encoded by bytes`() {
        #expect(TauClient.encoded("a/b ?é%") == "a%2Fb%20%3F%C3%A9%25")
    }
}
