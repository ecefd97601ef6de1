/// The files that tool calls have read and changed: what a summary must not forget.
public struct FileActivity: Sendable, Equatable {
    private var read: Set<String> = []
    private var modified: Set<String> = []

    public init() {}

    /// Files that were read and not changed, sorted.
    public var readFiles: [String] { read.subtracting(modified).sorted(by: Self.precedes) }
    /// Files that were written or edited, sorted.
    public var modifiedFiles: [String] { modified.sorted(by: Self.precedes) }

    /// By UTF-16 units, as JavaScript sorts.
    private static func precedes(_ left: String, _ right: String) -> Bool {
        left.utf16.lexicographicallyPrecedes(right.utf16)
    }

    /// Adds what the tool calls of an assistant's message touch.
    mutating func add(_ item: ModelContext.Item) {
        guard item.role == .assistant, let json = try? JSONValue(parsing: item.json) else { return }
        for block in json["content"]?.array ?? [] where block["type"] == "toolCall" {
            guard let path = block["arguments"]?["path"]?.string else { continue }
            switch block["name"]?.string {
            case "read": read.insert(path)
            case "write", "edit": modified.insert(path)
            default: break
            }
        }
    }

    /// Adds what an earlier summary had noted.
    mutating func add(details: JSONValue?) {
        read.formUnion(details?["readFiles"]?.array?.compactMap(\.string) ?? [])
        modified.formUnion(details?["modifiedFiles"]?.array?.compactMap(\.string) ?? [])
    }

    /// As it is stored beside a summary.
    public var details: JSONValue {
        [
            "readFiles": .array(readFiles.map { .string($0) }),
            "modifiedFiles": .array(modifiedFiles.map { .string($0) }),
        ]
    }

    /// A summary without the lists at its end, which the next one gets anew.
    static func withoutLists(_ summary: String) -> String {
        let starts = ["\n\n<read-files>\n", "\n\n<modified-files>\n"].compactMap {
            summary.firstRange(of: $0)?.lowerBound
        }
        return starts.min().map { String(summary[..<$0]) } ?? summary
    }

    /// As it stands at the end of a summary; empty where there is nothing.
    public var text: String {
        var text = ""
        for (name, files) in [("read-files", readFiles), ("modified-files", modifiedFiles)] where !files.isEmpty {
            text += "\n\n<\(name)>\n\(files.joined(separator: "\n"))\n</\(name)>"
        }
        return text
    }
}
