import TauCore
import TauTestKit

/// Sessions written line by line, as a person would for a test.
struct SessionBuilder {
    private(set) var lines: [String]

    init(version: Int? = 3) {
        let part = version.map { #""version":\#($0),"# } ?? ""
        lines = [#"{"type":"session",\#(part)"id":"test","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/w"}"#]
    }

    @discardableResult
    mutating func add(_ id: String, _ parent: String?, _ type: String, _ more: String = "") -> String {
        let parentText = parent.map { "\"\($0)\"" } ?? "null"
        lines.append(
            #"{"type":"\#(type)","id":"\#(id)","parentId":\#(parentText),"timestamp":"2026-01-01T00:00:01.000Z"\#(more.isEmpty ? "" : ",")\#(more)}"#
        )
        return id
    }

    @discardableResult
    mutating func user(_ id: String, _ parent: String?, _ text: String? = nil, at time: Int = 5) -> String {
        add(id, parent, "message", #""message":{"role":"user","content":"\#(text ?? id)","timestamp":\#(time)}"#)
    }

    @discardableResult
    mutating func assistant(
        _ id: String, _ parent: String?, provider: String = "anthropic", model: String = "claude-test",
        stop: String = "stop",
        tokens: Int = 0, at time: Int = 6
    ) -> String {
        add(
            id, parent, "message",
            #""message":{"role":"assistant","content":[{"type":"text","text":"\#(id)"}],"api":"a","provider":"\#(provider)","model":"\#(model)","usage":{"input":\#(tokens),"output":0,"cacheRead":0,"cacheWrite":0,"totalTokens":\#(tokens),"cost":{"total":0}},"stopReason":"\#(stop)","timestamp":\#(time)}"#
        )
    }

    @discardableResult
    mutating func compaction(_ id: String, _ parent: String?, keep: String, _ more: String = "") -> String {
        add(
            id, parent, "compaction",
            #""summary":"summary \#(id)","firstKeptEntryId":"\#(keep)","tokensBefore":9\#(more)"#)
    }

    func file() throws -> SessionFile { try SessionFile(parsing: Array((lines.joined(separator: "\n") + "\n").utf8)) }
    func tree() throws -> SessionTree { SessionTree(try file()) }
}

extension SessionTree {
    /// A tree of what a test writes.
    static func built(_ body: (inout SessionBuilder) -> Void) throws -> SessionTree {
        var builder = SessionBuilder()
        body(&builder)
        return try builder.tree()
    }

    /// The context in short: ids of entries, or the role and text of what only exists in a context.
    func outline(_ leaf: String?) -> [String] {
        context(of: leaf.map { EntryID(unchecked: $0) }).messages.map { item in
            switch item.role {
            case .compactionSummary, .branchSummary: "\(item.role.rawValue):\(item.entryID)"
            default: item.entryID.rawValue
            }
        }
    }
}
