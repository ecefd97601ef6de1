import Testing

@testable import TauCore

@Suite struct ToolRuleTests {
    private static func call(_ tool: String, _ argument: String, _ value: String) -> ToolCall {
        ToolCall(
            id: "c", name: tool, arguments: JSONObject(members: [.init(key: argument, value: .string(value))]))
    }

    private static func policy(
        _ rules: [ToolRule], _ tool: String, _ argument: String, _ value: String, _ role: Role? = .user,
        otherwise: ToolPolicy = .ask
    ) -> ToolPolicy {
        rules.policy(of: call(tool, argument, value), role: role, otherwise: otherwise)
    }

    @Test func `the first rule that fits decides, and the tool's policy where none does`() {
        let rules = [
            ToolRule(tool: "bash", argument: "command", pattern: "git push*", policy: .deny),
            ToolRule(tool: "bash", argument: "command", pattern: "git *", policy: .allow),
            ToolRule(tool: "*", argument: "path", pattern: "*.pem", policy: .deny),
            ToolRule(tool: "write", policy: .allow),
        ]
        #expect(Self.policy(rules, "bash", "command", "git push origin") == .deny)
        #expect(Self.policy(rules, "bash", "command", "git status") == .allow)
        #expect(Self.policy(rules, "bash", "command", "ls") == .ask)
        #expect(Self.policy(rules, "bash", "command", "x git status") == .ask)
        #expect(Self.policy(rules, "write", "path", "a/b.pem") == .deny)
        #expect(Self.policy(rules, "write", "path", "a/b.txt") == .allow)
        #expect(Self.policy(rules, "read", "path", "a/b.txt") == .ask)
        #expect(Self.policy(rules, "writer", "path", "x") == .ask)
    }

    @Test(arguments: [
        "git status; rm -rf .", "git status && x", "git status | sh", "git log $(x)", "git log `x`", "git log > x",
        "git log\nx", "git log\rx", "git log {a,b}", "git log \\\nx",
    ])
    func `a command that goes on is not let through by its beginning, and is held back by it`(_ command: String) {
        let allow = [ToolRule(tool: "bash", argument: "command", pattern: "git *", policy: .allow)]
        #expect(Self.policy(allow, "bash", "command", command) == .ask)
        let deny = [ToolRule(tool: "bash", argument: "command", pattern: "git *", policy: .deny)]
        #expect(Self.policy(deny, "bash", "command", command, otherwise: .allow) == .deny)
    }

    @Test func `paths are compared as what they mean`() {
        let rules = [ToolRule(tool: "write", argument: "path", pattern: "secrets/*", policy: .deny)]
        for path in [
            "secrets/a", "./secrets/a", "/workspace/secrets/a", "x/../secrets/./a", "secrets//a", "../secrets/a",
        ] {
            #expect(Self.policy(rules, "write", "path", path, otherwise: .allow) == .deny, "\(path)")
        }
        let open = [ToolRule(tool: "write", argument: "path", pattern: "public/*", policy: .allow)]
        for path in ["public/../secrets/a", "public/../../x", "/etc/public/a"] {
            #expect(Self.policy(open, "write", "path", path) == .ask, "\(path)")
        }
    }

    @Test func `rules of a role are for it, and where the role is not known the strict ones count`() {
        let rules = [
            ToolRule(tool: "bash", role: .admin, policy: .allow), ToolRule(tool: "write", role: .viewer, policy: .deny),
        ]
        #expect(Self.policy(rules, "bash", "command", "ls", .admin) == .allow)
        #expect(Self.policy(rules, "bash", "command", "ls", .user) == .ask)
        #expect(Self.policy(rules, "bash", "command", "ls", nil) == .ask)
        #expect(Self.policy(rules, "write", "path", "x", .viewer, otherwise: .allow) == .deny)
        #expect(Self.policy(rules, "write", "path", "x", .user, otherwise: .allow) == .allow)
        #expect(Self.policy(rules, "write", "path", "x", nil, otherwise: .allow) == .deny)
    }

    @Test func `patterns are matched whole, and quickly whatever they are`() {
        func fits(_ pattern: String, _ text: String) -> Bool {
            Self.policy(
                [ToolRule(tool: "t", argument: "a", pattern: pattern, policy: .deny)], "t", "a", text, otherwise: .allow
            )
                == .deny
        }
        for (pattern, text) in [
            ("", ""), ("*", ""), ("*", "x"), ("a?c", "abc"), ("*b", "aabab"), ("a*b*c", "a-b-b-c"), ("**", "xy"),
            ("é", "é"),
        ] {
            #expect(fits(pattern, text), "\(pattern) \(text)")
        }
        for (pattern, text) in [("", "a"), ("a", "A"), ("a?c", "ac"), ("a*b", "abc"), ("?", ""), ("a", "ab")] {
            #expect(!fits(pattern, text), "\(pattern) \(text)")
        }
        // One that others would take an eternity for.
        #expect(!fits(String(repeating: "*a", count: 50) + "b", String(repeating: "a", count: 5000)))
    }
}
